"""Sheets as files in a folder: whole, named after what is in them, and no two of one call under one name."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from striate.core.files import make_folder, write_atomically

_LONGEST = 200  # bytes of a file's name: a file system takes 255, and temporary files are named around it


def file_name(text: str) -> str:
    """A name of a file for the name of something else."""
    return re.sub(r"[^\w.\- ]", "-", text).strip(". ") or "-"


def stem_of(picture: Path, *kinds: str | None) -> str:
    """The name of a sheet without its suffix: that of the picture, and each kind of thing that makes this sheet another
    one than its neighbours; None is left out."""
    return _short(file_name("-".join([picture.stem, *filter(None, kinds)])))


def _short(text: str) -> str:
    """`text`, where it is too long its beginning and a digest of the whole."""
    data = text.encode()
    if len(data) <= _LONGEST:
        return text
    digest = hashlib.sha256(data).hexdigest()[:8]
    return f"{data[: _LONGEST - 9].decode(errors='ignore')}-{digest}"


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
