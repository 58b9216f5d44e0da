"""The pictures that a verb is given: files, folders, patterns, a list on standard input."""

from __future__ import annotations

import glob
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from striate.core.errors import DataError
from striate.core.registry import natural_key


def expand(pictures: Iterable[str | Path]) -> Iterator[Path]:
    """The files that are meant, in the order given; those of a folder in natural order.

    A file that does not exist is passed on: it is named with the others that cannot be read.
    """
    from striate.data.sources.folder import pictures_in

    if not pictures:
        raise DataError("Name at least one picture, folder or pattern, or - for a list on standard input.")
    for given in pictures:
        text, path = str(given), Path(given)
        if text == "-":
            files = [Path(line.rstrip("\r\n")) for line in sys.stdin if line.strip()]
        elif path.is_dir():
            files = pictures_in(path)
        elif path.exists() or not glob.has_magic(text):
            files = [path]
        else:
            files = [Path(match) for match in sorted(glob.glob(text, recursive=True), key=natural_key)]
        if not files:
            raise DataError(f"{text} holds no picture.")
        yield from files
