"""Sheets as files in a folder: whole, and no two of one call under one name."""

from __future__ import annotations

from pathlib import Path

from striate.core.files import make_folder, write_atomically


class Folder:
    """A folder into which one call writes; it is made with the first file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._taken: set[str] = set()

    def write(self, stem: str, suffix: str, content: bytes) -> Path:
        """Write `content` under `stem`, with a number behind it where this call has used that name already.

        Raises:
            StriateError: the folder cannot be written, or the disk is full.
        """
        name, number = f"{stem}{suffix}", 1
        while name.casefold() in self._taken:
            number += 1
            name = f"{stem}-{number}{suffix}"
        self._taken.add(name.casefold())
        make_folder(self.path)
        write_atomically(self.path / name, content)
        return self.path / name
