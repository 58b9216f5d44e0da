"""Where the page of an inspection lies."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING

from striate.cli.show.console import print_path
from striate.cli.show.stages import followed

if TYPE_CHECKING:
    from striate.runs.stage import Progress


def show_inspection(events: Generator[Progress, None, Path]) -> None:
    """Print the path, and nothing else, for people and programs alike."""
    print_path(followed(events).resolve())
