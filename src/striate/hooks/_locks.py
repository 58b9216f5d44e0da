"""One thread at a time with a network."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from threading import Lock, RLock
from typing import Any
from weakref import WeakKeyDictionary

from torch import nn

_MAKING = Lock()
_LOCKS: WeakKeyDictionary[nn.Module, Any] = WeakKeyDictionary()
"""A re-entrant lock for each module that was ever borrowed. It is kept beside the module, which can still be copied and
pickled, and goes with it."""


@contextmanager
def alone_with(model: nn.Module) -> Iterator[None]:
    """Within the block, no other thread is in such a block with `model` or any module of it.

    The locks of all its modules are taken, always in the same order, so that two threads with models that share some
    never wait for each other.
    """
    with _MAKING:
        locks = {id(module): _LOCKS.setdefault(module, RLock()) for module in model.modules()}
    with ExitStack() as held:
        for _, lock in sorted(locks.items()):
            held.enter_context(lock)
        yield
