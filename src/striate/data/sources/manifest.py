"""A CSV file that lists pictures: `path,label` and, if you like, `split`."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from striate.core.errors import DataError, nearest
from striate.data.dataset import Dataset, FileStore, Split
from striate.data.sources.folder import SPLIT_FOLDERS
from striate.data.sources.registry import SOURCES, Source, by_label, listed

_NEEDED = ("path", "label")
_COLUMNS = (*_NEEDED, "split")
_SEPARATORS = ",;\t"


class _Row(NamedTuple):
    line: int
    path: str
    label: str
    split: Split | None


def recognises(path: Path) -> bool:
    return path.suffix.lower() in (".csv", ".tsv") and path.is_file()


def open_manifest(path: Path) -> Dataset:
    """Open a CSV manifest: UTF-8 (or UTF-16 with a byte order mark), separated by commas, semicolons or tabs.

    Paths are relative to the folder of the CSV file, or absolute. A picture that is listed twice in the same way
    counts once. One that does not exist is named when it is read, like any other that cannot be read.

    Raises:
        DataError: a column is missing, a row is not in order, a picture stands there with two labels or splits, or
            none of the pictures exists.
    """
    rows, repeated = _once(path, _rows(path, _text(path)))
    root = path.parent
    if not any(os.path.isfile(root / row.path) for row in rows):
        raise DataError(
            f"None of the {len(rows):,} pictures that {path} lists exists; the first is {root / rows[0].path}. "
            f"Paths in it are relative to {root.resolve()}."
        )
    notes = (
        [f"{len(repeated):,} × listed again in the same way and counted once: {listed(repeated)}."] if repeated else []
    )
    store = FileStore(root, [row.path for row in rows])
    return by_label(path, store, [row.label for row in rows], [row.split for row in rows], notes)


def _text(path: Path) -> str:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from error
    encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise DataError(f"{path} is not text in UTF-8 (line {line}). Save it as CSV UTF-8.") from error


def _rows(path: Path, text: str) -> list[_Row]:
    head = text.lstrip().splitlines()[:1]
    if not head:
        raise DataError(f"{path} is empty. Its first line names the columns: path,label or path,label,split.")
    separator = max(_SEPARATORS, key=head[0].count)
    reader = csv.reader(io.StringIO(text.lstrip(), newline=""), delimiter=separator, strict=True)
    try:
        columns = [name.strip().lower() for name in next(reader)]
        places = _places(path, columns)
        rows = [_row(path, reader.line_num, fields, places, len(columns)) for fields in reader if any(fields)]
    except csv.Error as error:
        raise DataError(f"{path} is no proper CSV file (line {reader.line_num}): {error}.") from error
    if not rows:
        raise DataError(f"{path} lists no pictures: it has no line but its first.")
    return rows


def _places(path: Path, columns: Sequence[str]) -> dict[str, int]:
    for needed in _NEEDED:
        if needed not in columns:
            raise DataError(
                f"{path} has no column {needed!r}; its first line names {listed(columns, 6)}. "
                "Name the columns path,label or path,label,split."
            )
    return {name: columns.index(name) for name in _COLUMNS if name in columns}


def _row(path: Path, line: int, fields: Sequence[str], places: dict[str, int], width: int) -> _Row:
    where = f"{path}, line {line}"
    if len(fields) != width:
        raise DataError(f"{where}, has {len(fields)} fields where the first line names {width}.")
    values = {name: fields[place].strip() for name, place in places.items()}
    for needed in _NEEDED:
        if not values[needed]:
            raise DataError(f"{where}, has no {needed}.")
    split = values.get("split", "").lower()
    if split and split not in SPLIT_FOLDERS:
        raise DataError(f"{where}: a split is train, val or test; received {split!r}. {nearest(split, SPLIT_FOLDERS)}")
    return _Row(line, values["path"], values["label"], SPLIT_FOLDERS.get(split))


def _once(path: Path, rows: Sequence[_Row]) -> tuple[list[_Row], list[str]]:
    """Each picture once, and the paths of those that were listed again in the same way."""
    first: dict[str, _Row] = {}
    repeated: list[str] = []
    for row in rows:
        key = os.path.normpath(row.path)
        earlier = first.setdefault(key, row)
        if earlier is row:
            continue
        for what in ("label", "split"):
            values = getattr(earlier, what), getattr(row, what)
            if values[0] != values[1]:
                raise DataError(
                    f"{path} lists {row.path} twice, in lines {earlier.line} and {row.line}, with the {what}s "
                    f"{values[0]!r} and {values[1]!r}. Keep one of the two."
                )
        repeated.append(row.path)
    return list(first.values()), repeated


SOURCES.add("csv", Source("a CSV file with the columns path, label and, if you like, split", recognises, open_manifest))
