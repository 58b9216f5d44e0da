"""A CSV file that lists images: `path,label` and, optionally, `split` and `group`."""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from striate.core.errors import DataError, nearest
from striate.core.files import read_regular
from striate.core.names import canonical
from striate.data.dataset import SPLITS, Dataset, FileStore, Split
from striate.data.sources.registry import SOURCES, Source, by_label, listed
from striate.data.sources.splits import split_named
from striate.data.sources.text import Finder, decode_text

_NEEDED = ("path", "label")
_COLUMNS = (*_NEEDED, "split", "group")
_SEPARATORS = ",;\t|"


class _Row(NamedTuple):
    line: int
    path: str
    label: str
    split: Split | None
    group: str


def recognises(path: Path) -> bool:
    return path.suffix.lower() in (".csv", ".tsv") and path.is_file()


def open_manifest(path: Path) -> Dataset:
    """Open a CSV manifest: UTF-8, UTF-16 or UTF-32, separated by commas, semicolons, tabs or bars.

    Paths are relative to the folder of the CSV file, or absolute, in any Unicode form. Images with the same text in the
    column `group` (a patient, a film) are never divided between splits. Other columns, such as an index, are ignored.
    An image that is listed twice in the same way counts once. A missing image is reported when it is read, like any
    other unreadable one.

    Raises:
        DataError: a column is missing, a row is invalid, an image is listed with two labels, splits or groups, or none
            of the images exists.
    """
    rows, repeated = _once(path, _rows(path, _text(path)))
    root = path.parent
    finder = Finder()
    store = FileStore(root, [row.path if row.path.isascii() else str(finder.find(root / row.path)) for row in rows])
    if not os.path.isfile(store.path(0)) and not any(
        os.path.isfile(store.path(index)) for index in np.flatnonzero(~store.missing()).tolist()
    ):
        raise DataError(
            f"None of the {len(rows):,} images that {path} lists exists; the first is {root / rows[0].path}. "
            f"Paths in it are relative to {root.resolve()}."
        )
    notes = (
        [f"{len(repeated):,} × listed again in the same way and counted once: {listed(repeated)}."] if repeated else []
    )
    dataset = by_label(path, store, [row.label for row in rows], [row.split for row in rows], notes)
    return replace(dataset, groups=_groups([row.group for row in rows]))


def _groups(named: Sequence[str]) -> np.ndarray | None:
    """Return the number of each image's group; an image without a name is alone. None without any name."""
    if not any(named):
        return None
    numbers = {name: number for number, name in enumerate(dict.fromkeys(filter(None, named)))}
    return np.array([numbers.get(name, len(numbers) + place) for place, name in enumerate(named)], np.int64)


def _text(path: Path) -> str:
    try:
        data = read_regular(path)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from error
    try:
        return decode_text(data)
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise DataError(
            f"{path} is not text in UTF-8 (line {line}). Save it as CSV UTF-8. (On a command line, "
            "iconv -f LATIN1 -t UTF-8 converts what old spreadsheets wrote.)"
        ) from error


def _rows(path: Path, text: str) -> list[_Row]:
    separator, body = _separated(text)
    if not body:
        raise DataError(f"{path} is empty. Its first line names the columns: path,label or path,label,split.")
    reader = csv.reader(io.StringIO(body, newline=""), delimiter=separator, strict=True)
    skipped = text[: len(text) - len(body)].count("\n")
    try:
        columns = [name.strip().lower() for name in next(reader)]
        places = _places(path, columns)
        rows = [_row(path, skipped + reader.line_num, fields, places, len(columns)) for fields in reader if any(fields)]
    except csv.Error as error:
        raise DataError(f"{path} is no proper CSV file (line {skipped + reader.line_num}): {error}.") from error
    if not rows:
        raise DataError(f"{path} lists no images: it has only a header line.")
    return rows


def _separated(text: str) -> tuple[str, str]:
    """Return the separator, and the text from the line of column names on; "" if there is none.

    A tab at the start of the line separates columns: the index that pandas writes has no name. Excel may state the
    separator in a line of its own, `sep=;`.
    """
    text = text[len(text) - len(text.lstrip("\r\n")) :]
    head = re.split(r"[\r\n]", text, maxsplit=1)[0]
    if re.fullmatch(r"sep=.", head, re.IGNORECASE):
        return head[-1], text[len(head) :].lstrip("\r\n")
    if not head.strip():
        return _separated(text[len(head) :]) if head else (",", "")
    return max(_SEPARATORS, key=head.count), text


def _places(path: Path, columns: Sequence[str]) -> dict[str, int]:
    for needed in _NEEDED:
        if needed not in columns:
            raise DataError(
                f"{path} has no column {needed!r}; its first line names {listed(columns, 6)}. "
                "Name the columns path,label or path,label,split."
            )
    return {name: columns.index(name) for name in _COLUMNS if name in columns}


def _row(path: Path, line: int, fields: Sequence[str], places: dict[str, int], width: int) -> _Row:
    if len(fields) != width:
        raise DataError(f"{path}, line {line}, has {len(fields)} fields where the first line names {width}.")
    image, label = fields[places["path"]].strip(), fields[places["label"]].strip()
    for needed, value in (("path", image), ("label", label)):
        if not value:
            raise DataError(f"{path}, line {line}, has no {needed}.")
        if "\0" in value:
            raise DataError(f"{path}, line {line}, has a zero byte in its {needed}. Write the file again as CSV UTF-8.")
    wanted = fields[places["split"]].strip() if "split" in places else ""
    split = split_named(wanted) if wanted else None
    if wanted and split is None:
        raise DataError(
            f"{path}, line {line}: a split is train, val or test; received {wanted!r}. {nearest(wanted, SPLITS)}"
        )
    group = fields[places["group"]].strip() if "group" in places else ""
    return _Row(line, image, canonical(label), split, group)


def _once(path: Path, rows: Sequence[_Row]) -> tuple[list[_Row], list[str]]:
    """Return the rows of distinct images, and the paths of those that are listed again in the same way."""
    first: dict[str, _Row] = {}
    repeated: list[str] = []
    for row in rows:
        key = canonical(os.path.normpath(row.path))
        earlier = first.setdefault(key, row)
        if earlier is row:
            continue
        for what in ("label", "split", "group"):
            values = getattr(earlier, what), getattr(row, what)
            if values[0] != values[1]:
                raise DataError(
                    f"{path} lists {row.path} twice, in lines {earlier.line} and {row.line}, with the {what}s "
                    f"{values[0]!r} and {values[1]!r}. Keep one of the two."
                )
        repeated.append(row.path)
    return list(first.values()), repeated


SOURCES.add("csv", Source("a CSV file with the columns path, label and, if you like, split", recognises, open_manifest))
