"""Work that has a result and tells how far it is: a bar that goes away on a terminal, nothing elsewhere."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from striate.recipes.stage import Progress

Result = TypeVar("Result")


def followed(events: Generator[Progress, None, Result]) -> Result:
    """Read `events` to their end, showing each stage on standard error, and give the result."""
    from rich.console import Console
    from rich.progress import Progress as Bar

    screen = Console(stderr=True)
    with Bar(console=screen, transient=True, disable=not screen.is_terminal) as bar:
        tasks = {}
        while True:
            try:
                event = next(events)
            except StopIteration as done:
                return done.value
            if event.stage not in tasks:
                tasks[event.stage] = bar.add_task(event.stage, total=event.total)
            bar.update(tasks[event.stage], completed=event.done)
