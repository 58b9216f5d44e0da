"""Whether a network answers to each image by itself, so that images and their variants can share a forward pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from striate.core.rng import Stream
from striate.explaining._batching import one_at_a_time

NOTE = "The network mixes the images of a batch (batch statistics, for one), so each was run in a pass of its own."

_STRONGER = 10
"""By how much the neighbour in the batch is stronger than the image, so that any influence shows."""


@contextmanager
def sharing(
    model: nn.Module, images: Float[Tensor, "n c h w"], read: Callable[[Any], Any] = lambda answer: answer
) -> Iterator[bool]:
    """Within the block, `shares` puts many images into one pass, if the network answers to each by itself.

    Gives whether it does. It is tried: the answer to the first of `images` alone is compared with the answer to it
    beside strong noise. `read` takes out of the answer what is compared.
    """
    if together(model, images[:1], read):
        yield True
        return
    with one_at_a_time():
        yield False


@torch.no_grad()
def together(model: nn.Module, image: Float[Tensor, "1 c h w"], read: Callable[[Any], Any]) -> bool:
    """Whether the answer to `image` is the same whatever lies beside it in the batch, but for rounding."""
    if image.device.type == "meta":
        return True
    drawn = torch.randn(image.shape, generator=Stream(0, "explaining.apart").torch_generator()).to(image)
    spread = image.std() if image.numel() > 1 and bool(image.std() > 0) else image.new_ones(())
    alone = _first(read(model(image)), 1)
    try:
        beside = _first(read(model(torch.cat([image, image.mean() + _STRONGER * spread * drawn]))), 2)
    except (RuntimeError, ValueError):  # it takes one image at a time
        return False
    if _same(alone, beside):
        return True
    again = _first(read(model(image)), 1)
    return not _same(alone, again)  # a network that draws random numbers answers differently, whatever lies beside


def _first(answer: Any, images: int) -> list[Tensor]:
    """What in `answer` is of the first image: of the floating-point tensors that have a row for each image."""
    tensors = [leaf for leaf in tree_leaves(answer) if isinstance(leaf, Tensor) and leaf.is_floating_point()]
    return [leaf[0] for leaf in tensors if leaf.ndim and len(leaf) == images]


def _same(some: list[Tensor], others: list[Tensor]) -> bool:
    return len(some) == len(others) and all(map(_close, some, others))


def _close(one: Tensor, other: Tensor) -> bool:
    if one.shape != other.shape:
        return False
    # The order of sums differs with the size of a batch; so does what a GPU rounds to (TF32).
    allowed = max(2e-3, 8 * torch.finfo(one.dtype).eps)
    one, other = one.double(), other.double()
    return not one.numel() or bool(one.isnan().any()) or bool((one - other).abs().max() <= allowed * one.abs().max())
