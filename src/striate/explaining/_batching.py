"""Run many images, or variants of an image, in batches that fit into memory.

The size of the batches is measured on one item. A network that mixes the images of a batch receives one at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from striate.core.rng import Stream

Result = TypeVar("Result")

MEMORY = 512 * 2**20
"""Bytes that the maps of one pass may take. More gains nothing on a CPU, whose caches are much smaller."""

MOST = 64
"""More at once than this has not been seen to be faster."""


_ALONE: ContextVar[bool] = ContextVar("whether a pass takes one item only", default=False)


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """Within the block, each pass takes a single item: for networks that mix the items of a batch."""
    before = _ALONE.set(True)
    try:
        yield
    finally:
        _ALONE.reset(before)


def is_one_at_a_time() -> bool:
    """Whether each pass takes a single item."""
    return _ALONE.get()


class _Bytes(TorchDispatchMode):
    """Add up the bytes of all outputs of the operations."""

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # otherwise torch loads its compiler, only to keep it out

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        output = func(*args, **(kwargs or {}))
        for tensor in output if isinstance(output, (tuple, list)) else (output,):
            if isinstance(tensor, Tensor):
                self.total += tensor.numel() * tensor.element_size()
        return output


class AutoBatch:
    """Batches of a pass that is repeated any number of times: the size that the first pass measures holds for all."""

    def __init__(self) -> None:
        self._fitting = 0

    def __call__(self, count: int, run: Callable[[slice], Result]) -> Iterator[Result]:
        """Yield the results of `run` for slices that together cover `range(count)`, in order (see `in_batches`)."""
        begun = 0
        if not self._fitting:
            first, self._fitting = measure_batch(lambda: run(slice(0, min(1, count))))
            yield first
            begun = 1
        for start in range(begun, count, self._fitting):
            yield run(slice(start, min(count, start + self._fitting)))


def in_batches(count: int, run: Callable[[slice], Result]) -> Iterator[Result]:
    """Yield the results of `run` for slices that together cover `range(count)`, in order.

    The first slice is one item, for which the bytes of all maps are counted; they bound the size of the others, and so
    memory: at most `MEMORY` where autograd keeps the maps, less where it does not. The sizes depend on the network
    alone, not on time, so that results repeat.
    """
    return AutoBatch()(count, run)


def measure_batch(run: Callable[[], Result]) -> tuple[Result, int]:
    """Return the result of `run` for one item, and how many items fit into `MEMORY`, or 1 where each must be alone."""
    if is_one_at_a_time():
        return run(), 1
    counted = _Bytes()
    with counted:
        result = run()
    return result, max(1, min(MOST, MEMORY // max(1, counted.total)))


NOTE = "The network mixes the images of a batch (batch statistics, for one), so each was run in a pass of its own."

_STRONGER = 10
"""By how much the neighbour in the batch is stronger than the image, so that any influence shows."""


@contextmanager
def checked_batching(
    model: nn.Module, images: Float[Tensor, "n c h w"], read: Callable[[Any], Any] = lambda answer: answer
) -> Iterator[bool]:
    """Within the block, `in_batches` puts many images into one pass if the network treats each image by itself.

    Yields whether it does. This is tested: the answer to the first of `images` alone is compared with its answer in a
    batch with strong noise. `read` extracts from the answer the part to compare.
    """
    if is_samplewise(model, images[:1], read):
        yield True
        return
    with one_at_a_time():
        yield False


@torch.no_grad()
def is_samplewise(model: nn.Module, image: Float[Tensor, "1 c h w"], read: Callable[[Any], Any]) -> bool:
    """Whether the answer to `image` is independent of the rest of its batch, up to rounding."""
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
    return not _same(alone, again)  # of a network that draws random numbers, answers differ in any batch


def _first(answer: Any, images: int) -> list[Tensor]:
    """Return the first image's part of each floating-point tensor in `answer` that has a row for each image."""
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
