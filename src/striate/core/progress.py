"""The progress callback of long work: one signature, from a download to the command line's bar."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

Progress: TypeAlias = Callable[[str, int, int], None]
"""Callback `progress(stage, done, total)`: `done` of `total` pieces of the work `stage` are done.

It runs in the thread of the work. An exception in it ends the work.
"""


def silent(stage: str, done: int, total: int) -> None:
    """Ignore the progress."""


def renamed(progress: Progress, stage: str) -> Progress:
    """Return a callback that reports every stage of a job as `stage`."""
    return lambda _, done, total: progress(stage, done, total)
