"""Ordered parallel work in threads: decoders and NumPy release the interpreter lock."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def usable_cores() -> int:
    """Return the number of processor cores that this process may use: its part where torchrun has started several."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, cores // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))


def in_order(
    function: Callable[[Item], Result], items: Iterable[Item], *, threads: int, ahead: int
) -> Generator[Result, None, None]:
    """Yield `function(item)` of each item in order, computed by `threads` threads at most `ahead` items ahead.

    With 0 threads the caller's thread computes. Closing the generator cancels pending items, waits for running ones and
    releases the threads. An exception of `function` is raised at its item.
    """
    if threads == 0:
        yield from map(function, items)
        return
    pool = ThreadPoolExecutor(threads, thread_name_prefix="striate-worker")
    begun: deque[Future[Result]] = deque()
    try:
        for item in items:
            begun.append(pool.submit(function, item))
            if len(begun) > ahead:
                yield begun.popleft().result()
        while begun:
            yield begun.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
