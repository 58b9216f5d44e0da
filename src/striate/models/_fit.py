"""What comes out of a network for a picture of some size, and which is the smallest size that it admits."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from striate.models._trace import trace

_LARGEST = 4096


def output_shape(layers: nn.Module, shape: tuple[int, int, int]) -> tuple[int, ...]:
    """The shape, without the batch, that `layers` make of a picture of `shape` (c, h, w). Nothing is computed.

    Raises:
        EmptyMapError: the picture is too small.
        ModelError: a layer does not take what it is given.
    """
    return trace(layers, shape)[-1].output_shape


def smallest_side(works: Callable[[int], bool]) -> int | None:
    """The smallest side of a square picture for which `works` holds, up to 4096; None if there is none.

    What works for one side works for every longer one, so the answer is found by halving.
    """
    too_small, enough = 0, 1
    while not works(enough):
        if enough >= _LARGEST:
            return None
        too_small, enough = enough, 2 * enough
    while enough - too_small > 1:
        middle = (too_small + enough) // 2
        too_small, enough = (too_small, middle) if works(middle) else (middle, enough)
    return enough
