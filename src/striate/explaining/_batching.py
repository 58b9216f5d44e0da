"""How many variants of a picture fit into one forward pass: found by trying one, not asked of people."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

Result = TypeVar("Result")

MEMORY = 512 * 2**20
"""Bytes that the maps of one pass may take. More gains nothing on a CPU: its caches are long overrun."""

MOST = 64
"""More at once than this has not been seen to be faster."""


_ALONE: ContextVar[bool] = ContextVar("whether a pass takes one item only", default=False)


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """Within the block, each pass takes a single item: for networks that mix what lies in one batch."""
    before = _ALONE.set(True)
    try:
        yield
    finally:
        _ALONE.reset(before)


def alone() -> bool:
    """Whether each pass is to take a single item."""
    return _ALONE.get()


class _Bytes(TorchDispatchMode):
    """Adds up the bytes of all that the operations give."""

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        output = func(*args, **(kwargs or {}))
        for tensor in output if isinstance(output, (tuple, list)) else (output,):
            if isinstance(tensor, Tensor):
                self.total += tensor.numel() * tensor.element_size()
        return output


class Shares:
    """The same pass, made any number of times: what the first one has counted holds for all."""

    def __init__(self) -> None:
        self._fitting = 0

    def __call__(self, count: int, run: Callable[[slice], Result]) -> Iterator[Result]:
        """What `run` gives for slices that together cover `range(count)`, one after another (see `shares`)."""
        begun = 0
        if not self._fitting:
            first, self._fitting = tried(lambda: run(slice(0, min(1, count))))
            yield first
            begun = 1
        for start in range(begun, count, self._fitting):
            yield run(slice(start, min(count, start + self._fitting)))


def shares(count: int, run: Callable[[slice], Result]) -> Iterator[Result]:
    """What `run` gives for slices that together cover `range(count)`, one after another.

    The first is one item, of which the bytes of all maps are counted; it bounds the others, and so memory: no more than
    `MEMORY` where autograd keeps the maps, less where it does not. The sizes depend on the network alone, not on the
    clock, so that results repeat.
    """
    return Shares()(count, run)


def tried(run: Callable[[], Result]) -> tuple[Result, int]:
    """What `run` gives for one item, and how many at once fit into `MEMORY`; one, where each must be alone."""
    if alone():
        return run(), 1
    counted = _Bytes()
    with counted:
        result = run()
    return result, max(1, min(MOST, MEMORY // max(1, counted.total)))
