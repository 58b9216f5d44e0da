"""Work that has a result and tells how far it is: a bar that goes away on a terminal, nothing elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, TypeVar

from striate.core.names import visible

Result = TypeVar("Result")


def followed(events: Generator[Any, None, Result], each: Callable[[Any], None] | None = None) -> Result:
    """Read `events` to their end, showing each stage on standard error, and give the result.

    What is no progress is handed to `each`, if the job yields more than that.
    """
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import Progress as Bar

    screen = Console(stderr=True)
    with Bar(console=screen, transient=True, disable=not screen.is_terminal) as bar:
        tasks = {}
        while True:
            try:
                event = next(events)
            except StopIteration as done:
                return done.value
            if not _is_progress(event):
                if each:
                    each(event)
                continue
            if event.stage not in tasks:
                tasks[event.stage] = bar.add_task(escape(visible(event.stage)), total=event.total)
            bar.update(tasks[event.stage], completed=event.done)


def _is_progress(event: Any) -> bool:
    from striate.runs.stage import Progress

    return isinstance(event, Progress)
