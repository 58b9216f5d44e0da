"""From a model's name to the network: as a sketch without weights, or with its paper's initial weights."""

from __future__ import annotations

import torch

from striate.core.errors import ModelError
from striate.core.rng import Stream
from striate.models._fit import output_shape, smallest_side
from striate.models._trace import EmptyMapError
from striate.models._zoo import MODELS, Network


def create_model(
    name: str, *, classes: int, channels: int = 3, size: tuple[int, int], seed: int | None = None
) -> Network:
    """Build a model of the zoo for pictures of `size` (height, width) with its paper's initial weights.

    With a `seed` the weights depend on it alone, and torch's random state is left as found; without one they are drawn
    from that state, as torch's own modules do.

    Raises:
        ModelError: there is no such model (the nearest name is offered), or the pictures are too small for it (the
            smallest size is named).
    """
    sketch_model(name, classes=classes, channels=channels, size=size)
    build = MODELS[name].build
    with torch.device("cpu"):
        if seed is None:
            return build(channels=channels, size=size, classes=classes)
        # Only the CPU's generator is seeded, and only it is restored: torch.manual_seed would touch every device's.
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(Stream(seed, "weights.initial").torch_seed())
            return build(channels=channels, size=size, classes=classes)


def sketch_model(name: str, *, classes: int, channels: int = 3, size: tuple[int, int]) -> Network:
    """The model as `create_model` builds it, on the meta device: all shapes, no weights, no memory.

    Raises:
        ModelError: as `create_model`.
    """
    if classes < 1 or channels < 1 or min(size) < 1:
        raise ModelError(
            f"A model has at least one class and one channel and takes pictures of at least 1×1 pixels; received "
            f"{classes} classes, {channels} channels, {size[0]}×{size[1]} pixels."
        )
    try:
        return _sketch(name, channels, size, classes)
    except EmptyMapError as error:
        side = smallest_side(lambda side: _admits(name, channels, side))
        raise ModelError(
            f"{name} takes pictures from {side}×{side} pixels on; received {size[0]}×{size[1]}. "
            f"Choose a larger size or another model."
        ) from error


def _sketch(name: str, channels: int, size: tuple[int, int], classes: int) -> Network:
    with torch.device("meta"):
        network = MODELS[name].build(channels=channels, size=size, classes=classes)
    output_shape(network, (channels, *size))
    return network


def _admits(name: str, channels: int, side: int) -> bool:
    try:
        _sketch(name, channels, (side, side), classes=2)
    except EmptyMapError:
        return False
    return True
