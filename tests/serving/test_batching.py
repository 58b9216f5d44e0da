"""Batches grow under load, wait no longer than they may, and keep failures apart."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import pytest

from striate.serving.batching import Batcher


def run(
    test: Callable[[Batcher, list[int]], Coroutine[Any, Any, None]], *, delay: float = 0.0, coming: int = 0
) -> None:
    async def whole() -> None:
        sizes: list[int] = []
        batcher = Batcher(
            size=4, delay=delay, coming=lambda: coming, observe=lambda size, waited, took: sizes.append(size)
        )
        batcher.start()
        try:
            await test(batcher, sizes)
        finally:
            await batcher.stop()

    asyncio.run(whole())


def doubled(batch: Sequence[int]) -> list[int]:
    return [2 * number for number in batch]


def test_what_arrives_during_a_batch_forms_the_next_ones_in_order() -> None:
    go = threading.Event()

    def work(batch: Sequence[int]) -> list[int]:
        go.wait(5)
        return doubled(batch)

    async def test(batcher: Batcher, sizes: list[int]) -> None:
        first = asyncio.create_task(batcher.result(work, 0))
        await asyncio.sleep(0.02)
        others = [asyncio.create_task(batcher.result(work, number)) for number in range(1, 8)]
        await asyncio.sleep(0.02)
        go.set()
        assert await asyncio.gather(first, *others) == [2 * number for number in range(8)]
        assert sizes == [1, 4, 3]

    run(test)


def test_an_image_waits_for_others_only_while_they_are_coming_and_not_for_long() -> None:
    async def test(batcher: Batcher, sizes: list[int]) -> None:
        start = time.perf_counter()
        assert await batcher.result(doubled, 1) == 2
        assert 0.05 <= time.perf_counter() - start < 1

    async def alone(batcher: Batcher, sizes: list[int]) -> None:
        assert await asyncio.wait_for(batcher.result(doubled, 1), 5) == 2

    run(test, delay=0.05, coming=1)
    run(alone, delay=60, coming=0)


def test_a_full_batch_does_not_wait() -> None:
    async def test(batcher: Batcher, sizes: list[int]) -> None:
        found = asyncio.gather(*(batcher.result(doubled, number) for number in range(4)))
        assert await asyncio.wait_for(found, 5) == [0, 2, 4, 6]
        assert sizes == [4]

    run(test, delay=60, coming=9)


def test_one_failure_does_not_fail_its_batch() -> None:
    def work(batch: Sequence[int]) -> list[int]:
        if 2 in batch:
            raise RuntimeError("two")
        return doubled(batch)

    async def test(batcher: Batcher, sizes: list[int]) -> None:
        given = (batcher.result(work, number) for number in range(4))
        found = await asyncio.gather(*given, return_exceptions=True)
        assert [found[0], found[1], found[3]] == [0, 2, 6]
        assert isinstance(found[2], RuntimeError)
        assert await batcher.result(doubled, 5) == 10

    run(test, delay=1, coming=9)


def test_what_was_cancelled_is_left_out_and_other_work_has_other_batches() -> None:
    seen: list[list[int]] = []

    def one(batch: Sequence[int]) -> list[int]:
        seen.append([*batch])
        return doubled(batch)

    def another(batch: Sequence[int]) -> list[int]:
        return one(batch)

    async def test(batcher: Batcher, sizes: list[int]) -> None:
        works = (one, one, another)
        given = [asyncio.create_task(batcher.result(work, number)) for number, work in enumerate(works)]
        await asyncio.sleep(0.02)
        given[1].cancel()
        found = await asyncio.gather(*given, return_exceptions=True)
        assert [found[0], found[2]] == [0, 4]
        assert seen == [[0], [2]]

    run(test, delay=0.1, coming=9)


def test_what_waits_at_the_end_is_cancelled() -> None:
    go = threading.Event()

    async def test(batcher: Batcher, sizes: list[int]) -> None:
        running = asyncio.create_task(batcher.result(lambda batch: [go.wait(5)], 0))
        await asyncio.sleep(0.02)
        waiting = asyncio.create_task(batcher.result(doubled, 1))
        await asyncio.sleep(0.02)
        go.set()
        await batcher.stop()
        for task in (running, waiting):
            with pytest.raises(asyncio.CancelledError):
                await asyncio.wait_for(task, 5)

    run(test)
