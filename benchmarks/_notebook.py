"""Results that a long study keeps while it runs, so that it continues where it was stopped."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any


class Notebook:
    """Cells that were computed, one JSON line each: a description, any JSON value, and what was found for it.

    A line that was cut off is dropped when the file is opened.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        text = path.read_text("utf-8") if path.exists() else ""
        whole = text[: text.rfind("\n") + 1]
        if whole != text:
            path.write_text(whole, "utf-8")
        self._cells: dict[str, Any] = {
            _key(each["cell"]): each["found"] for each in map(json.loads, whole.splitlines())
        }

    def __iter__(self) -> Iterator[tuple[Any, Any]]:
        """Yield each cell with what was found, the first computed first."""
        return ((json.loads(key), found) for key, found in self._cells.items())

    def get(self, cell: Any, compute: Callable[[], Any]) -> Any:
        """Return what was found for `cell`, computed now if it is new; then the cell is printed."""
        if _key(cell) not in self._cells:
            found = compute()
            self.add(cell, found)
            print(cell, flush=True)
        return self._cells[_key(cell)]

    def add(self, cell: Any, found: Any) -> None:
        """Keep what was found for `cell`, in place of what was known."""
        self._cells[_key(cell)] = found
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"cell": cell, "found": found}) + "\n")


def _key(cell: Any) -> str:
    return json.dumps(cell, sort_keys=True)
