"""The progress callback of long work: one signature, from a download to the command line's bar."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

Progress: TypeAlias = Callable[[str, int, int], None]
"""Called as `progress(stage, done, total)`: of the work that `stage` names, `done` of `total` pieces are done.

It is called in the thread that does the work. What it raises ends the work.
"""


def silent(stage: str, done: int, total: int) -> None:
    """Show nothing."""


def renamed(progress: Progress, stage: str) -> Progress:
    """Return a callback that reports every stage of a job as `stage`."""
    return lambda _, done, total: progress(stage, done, total)
