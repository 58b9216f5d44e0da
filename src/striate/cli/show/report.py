"""Where the report lies."""

from __future__ import annotations

from pathlib import Path

from striate.cli.show.console import print_path


def show_report(path: Path) -> None:
    """Print the path, and nothing else, for people and programs alike."""
    print_path(path.resolve())
