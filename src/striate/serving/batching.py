"""Dynamic batching: images of many requests are classified together, by one thread.

The thread is never idle while images wait, except for `delay` seconds while others are being decoded. Under load,
batches grow by themselves: what arrives during a batch forms the next one.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

Work = Callable[[Sequence[Any]], Sequence[Any]]
"""A function of a batch that returns one result for each of its members."""

_RECENT = 0.2  # weight of the last batch in the mean time of an image


@dataclass(eq=False)
class _Waiting:
    work: Work
    payload: Any
    result: asyncio.Future[Any]
    since: float = field(default_factory=time.perf_counter)


class Batcher:
    """Run `work` on batches of at most `size` payloads, in the order of their arrival.

    `coming` returns how many more are expected soon. `observe` receives the size of each batch, the seconds that its
    oldest member waited, and the seconds that it took. Payloads with the same `work` share batches; a payload whose
    future is cancelled before its batch begins is left out.
    """

    def __init__(
        self,
        *,
        size: int,
        delay: float,
        coming: Callable[[], int],
        observe: Callable[[int, float, float], None] = lambda size, waited, took: None,
    ) -> None:
        self._size, self._delay, self._coming, self._observe = size, delay, coming, observe
        self._queue: deque[_Waiting] = deque()
        self._arrived = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, "striate-network")
        self._pace = 0.0
        self._loop: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to run batches, in the running event loop."""
        self._loop = asyncio.create_task(self._run(), name="batches")

    async def stop(self) -> None:
        """Stop, and cancel what is not answered yet; the thread ends its batch."""
        if self._loop is not None:
            self._loop.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._loop
        for waiting in self._queue:
            waiting.result.cancel()
        await asyncio.to_thread(self._thread.shutdown)

    def wait(self, images: int) -> float:
        """Return the seconds in which `images` images will be classified, by the pace of the last batches."""
        return images * self._pace

    async def result(self, work: Work, payload: Any) -> Any:
        """Return the result of `payload` in a batch of `work`.

        Raises:
            Exception: as `work` raises it for this payload alone.
        """
        waiting = _Waiting(work, payload, asyncio.get_running_loop().create_future())
        self._queue.append(waiting)
        self._arrived.set()
        return await waiting.result

    def expect(self) -> None:
        """Look again at how many are coming: fewer are than before."""
        self._arrived.set()

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._gather()
            batch = self._next()
            if not batch:
                continue
            start = time.perf_counter()
            waited = start - batch[0].since
            try:
                outcomes = await loop.run_in_executor(self._thread, _outcomes, batch)
            except asyncio.CancelledError:
                self._queue.extendleft(reversed(batch))  # cancelled with the others
                raise
            took = time.perf_counter() - start
            self._pace += _RECENT * (took / len(batch) - self._pace)
            self._observe(len(batch), waited, took)
            for waiting, (value, error) in zip(batch, outcomes, strict=True):
                if waiting.result.done():
                    continue
                if error is None:
                    waiting.result.set_result(value)
                else:
                    waiting.result.set_exception(error)

    async def _gather(self) -> None:
        """Wait for a batch: a full one, or what there is when nothing is coming or the delay is over."""
        while not self._queue:
            self._arrived.clear()
            await self._arrived.wait()
        until = self._queue[0].since + self._delay
        while len(self._queue) < self._size and self._coming() > 0 and (rest := until - time.perf_counter()) > 0:
            self._arrived.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._arrived.wait(), rest)

    def _next(self) -> list[_Waiting]:
        """Take the oldest, and the next ones with the same work."""
        batch: list[_Waiting] = []
        others: deque[_Waiting] = deque()
        while self._queue and len(batch) < self._size:
            waiting = self._queue.popleft()
            if waiting.result.done():
                continue
            (batch if not batch or waiting.work == batch[0].work else others).append(waiting)
        self._queue.extendleft(reversed(others))
        return batch


def _outcomes(batch: Sequence[_Waiting]) -> list[tuple[Any, Exception | None]]:
    """Return a result or an error for each; if a batch fails, each of its members runs alone."""
    try:
        results = batch[0].work([waiting.payload for waiting in batch])
        return [(result, None) for result in results]
    except Exception as error:
        if len(batch) == 1:
            return [(None, error)]
    return [outcome for waiting in batch for outcome in _outcomes([waiting])]
