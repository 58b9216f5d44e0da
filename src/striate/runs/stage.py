"""Long work before the first step (reading every picture, decoding a cache) as a stream of events like the training."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import TypeVar

from striate.core.progress import Report

Result = TypeVar("Result")


@dataclass(frozen=True)
class Progress:
    """How far a stage of the work is: `done` of `total` pieces."""

    stage: str
    done: int
    total: int


class _Cancelled(BaseException):
    """Raised inside the work when nobody reads its progress any more."""


def watched(stage: str, work: Callable[[Report], Result]) -> Generator[Progress, None, Result]:
    """Run `work(progress)` in a thread, yield its calls of `progress(done, total)`, and return its result.

    What `work` raises is raised here. When the generator is closed or interrupted, the next call of `progress` ends
    the work, and the generator waits for that.
    """
    reports: queue.Queue[Progress | None] = queue.Queue()
    cancelled = threading.Event()
    results: list[Result] = []
    errors: list[BaseException] = []

    def report(done: int, total: int, at: str | None = None, /) -> None:
        if cancelled.is_set():
            raise _Cancelled
        reports.put(Progress(at or stage, done, total))

    def run() -> None:
        try:
            results.append(work(report))
        except BaseException as error:
            errors.append(error)
        finally:
            reports.put(None)

    thread = threading.Thread(target=run, name=stage)
    thread.start()
    try:
        while (progress := reports.get()) is not None:
            yield progress
    finally:
        cancelled.set()
        thread.join()
    if errors:
        raise errors[0]
    return results[0]
