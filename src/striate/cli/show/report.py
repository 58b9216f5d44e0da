"""Where the report lies."""

from __future__ import annotations

from pathlib import Path


def show_report(path: Path) -> None:
    """Print the path, and nothing else, for people and programs alike."""
    print(path.resolve())
