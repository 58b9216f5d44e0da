"""Read text and find file names of other programs: encodings with and without a mark, composed and decomposed."""

from __future__ import annotations

import codecs
import os
from pathlib import Path

from striate.core.names import canonical

# UTF-32 before UTF-16: the mark of UTF-32 begins with that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_LOOKED_AT = 4096
_ZEROS = 0.25  # of the characters: every ASCII character has a zero byte in UTF-16, and lists are mostly ASCII


def decode_text(data: bytes, errors: str = "strict") -> str:
    """Decode a text file by its byte order mark; without one as UTF-16 if its zero bytes show that, else as UTF-8.

    Raises:
        UnicodeDecodeError: the bytes are not text in that encoding.
    """
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return data[len(mark) :].decode(encoding, errors)
    return data.decode(_unmarked(data[:_LOOKED_AT]), errors)


def _unmarked(start: bytes) -> str:
    pairs = len(start) // 2
    high, low = start[0 : 2 * pairs : 2].count(0), start[1 : 2 * pairs : 2].count(0)
    if low >= _ZEROS * pairs > 0 and not high:
        return "utf-16-le"
    return "utf-16-be" if high >= _ZEROS * pairs > 0 and not low else "utf-8"


class Finder:
    """Find files whose names on the disk differ in their Unicode form; each folder is listed once."""

    def __init__(self) -> None:
        self._listings: dict[Path, dict[str, str]] = {}

    def find(self, path: Path) -> Path:
        """Return the file at `path`, or the one whose name differs only in its Unicode form, or else `path`.

        Raises:
            ValueError: the path holds a zero byte.
        """
        if str(path).isascii() or os.path.lexists(path):
            return path
        found = Path(path.anchor)
        for part in path.relative_to(path.anchor).parts:
            name = part if os.path.lexists(found / part) else self._names(found).get(canonical(part))
            if name is None:
                return path
            found /= name
        return found

    def _names(self, folder: Path) -> dict[str, str]:
        if folder not in self._listings:
            try:
                names = sorted(os.listdir(folder))
            except OSError:
                names = []
            self._listings[folder] = {canonical(name): name for name in names}
        return self._listings[folder]
