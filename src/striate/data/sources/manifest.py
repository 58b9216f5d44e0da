"""A CSV file that lists images: `path,label`, `path,labels` or a column for each class; and `split` and `group`."""

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
from striate.data.sources.registry import SOURCES, Source, by_label, by_labels, listed
from striate.data.sources.splits import split_named
from striate.data.sources.text import Finder, decode_text

_COLUMNS = ("path", "label", "labels", "split", "group")
_SEPARATORS = ",;\t|"
_BETWEEN_LABELS = re.compile("[;|]")
_JOINED = re.compile(r"\s*[;|,/+&]\s*|\s+")
_NAMED = 5
_TRUE, _FALSE = ("1", "1.0", "true"), ("0", "0.0", "false")


class _Row(NamedTuple):
    line: int
    path: str
    labels: tuple[str, ...]
    split: Split | None
    group: str

    @property
    def text(self) -> str:
        """The labels as text."""
        return ";".join(self.labels)


class _Columns(NamedTuple):
    """The names in the first line, the places of the known columns, and the place of each class that has a column."""

    names: tuple[str, ...]
    places: dict[str, int]
    classes: dict[str, int]


def recognises(path: Path) -> bool:
    return path.suffix.lower() in (".csv", ".tsv") and path.is_file()


def open_manifest(path: Path) -> Dataset:
    """Open a CSV manifest: UTF-8, UTF-16 or UTF-32, separated by commas, semicolons, tabs or bars.

    Paths are relative to the folder of the CSV file, or absolute, in any Unicode form. Images with the same text in the
    column `group` (a patient, a film) are not divided between splits, except by the column `split`. Other columns, such
    as an index, are ignored.
    An image has one class where the column is `label`; any number where it is `labels` (cells as in `cat;dog` or
    `cat|dog`, or empty), or where neither is there and each other column is a class, with cells 0 and 1.
    An image that is listed twice in the same way counts once. A missing image is reported when it is read, like any
    other unreadable one.

    Raises:
        DataError: a column is missing, a row is invalid, an image is listed with two labels, splits or groups, or none
            of the images exists.
    """
    columns, listing = _rows(path, _text(path))
    rows, repeated = _once(path, listing)
    root = path.parent
    finder = Finder()
    store = FileStore(root, [_on_disk(finder, root, row.path) for row in rows])
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
    parts: list[Split | None] = [row.split for row in rows]
    if "label" in columns.places:
        dataset = by_label(path, store, [row.text for row in rows], parts, notes)
    else:
        dataset = by_labels(path, store, [row.labels for row in rows], parts, notes, classes=tuple(columns.classes))
    cautions = (*dataset.cautions, *_several_in_one(dataset.classes))
    return replace(dataset, groups=_groups([row.group for row in rows]), cautions=cautions)


def _several_in_one(classes: Sequence[str]) -> list[str]:
    """Return a sentence on the classes that are several others, as `cat, dog` beside `cat` and `dog`."""
    known = set(classes)
    joined = [name for name in classes if len(parts := _JOINED.split(name)) > 1 and known.issuperset(parts)]
    if not joined:
        return []
    kind = "class is" if len(joined) == 1 else "classes are"
    return [
        f"{len(joined):,} {kind} made of the names of others: {', '.join(map(repr, joined[:_NAMED]))}"
        f"{' …' if len(joined) > _NAMED else ''}. If these are several labels of an image, separate them by semicolons "
        "in a column 'labels'."
    ]


def _on_disk(finder: Finder, root: Path, path: str) -> str:
    """Return a path in the Unicode form of the disk; it stays relative to `root` if it is."""
    if path.isascii():
        return path
    found = finder.find(root / path)
    return str(found if os.path.isabs(path) else found.relative_to(root))


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


def _rows(path: Path, text: str) -> tuple[_Columns, list[_Row]]:
    separator, body = _separated(text)
    if not body:
        raise DataError(f"{path} is empty. Its first line names the columns: path,label or path,label,split.")
    reader = csv.reader(io.StringIO(body, newline=""), delimiter=separator, strict=True)
    skipped = text[: len(text) - len(body)].count("\n")
    try:
        columns = _columns(path, next(reader))
        rows = [_row(path, skipped + reader.line_num, fields, columns) for fields in reader if any(fields)]
    except csv.Error as error:
        raise DataError(f"{path} is no proper CSV file (line {skipped + reader.line_num}): {error}.") from error
    if not rows:
        raise DataError(f"{path} lists no images: it has only a header line.")
    return columns, rows


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


def _columns(path: Path, heads: Sequence[str]) -> _Columns:
    names = [name.strip().lower() for name in heads]
    places = {name: names.index(name) for name in _COLUMNS if name in names}
    classes: dict[str, int] = {}
    if "label" in places:
        places.pop("labels", None)
    elif "labels" not in places:
        classes = {canonical(heads[at].strip()): at for at, name in enumerate(names) if name and name not in _COLUMNS}
    found = _Columns(tuple(names), places, classes)
    if "path" not in places:
        raise _missing(path, "path", found)
    if not classes and not {"label", "labels"} & set(places):
        raise _missing(path, "label", found)
    return found


def _missing(path: Path, needed: str, columns: _Columns, but: str = "") -> DataError:
    return DataError(
        f"{path} has no column {needed!r}; its first line names {listed(columns.names, 6)}. "
        "Name the columns path,label or path,label,split. Where images have several labels: path,labels "
        f"with cells as in cat;dog, or a column of 0 and 1 for each class{but}."
    )


def _row(path: Path, line: int, fields: Sequence[str], columns: _Columns) -> _Row:
    if len(fields) != len(columns.names):
        raise DataError(
            f"{path}, line {line}, has {len(fields)} fields where the first line names {len(columns.names)}."
        )
    cells = {name: fields[place].strip() for name, place in columns.places.items()}
    for name in ("path", "label", "labels"):
        if name != "labels" and not cells.get(name, "?"):
            raise DataError(f"{path}, line {line}, has no {name}.")
        if "\0" in cells.get(name, ""):
            raise DataError(f"{path}, line {line}, has a zero byte in its {name}. Write the file again as CSV UTF-8.")
    wanted = cells.get("split", "")
    split = split_named(wanted) if wanted else None
    if wanted and split is None:
        raise DataError(
            f"{path}, line {line}: a split is train, val or test; received {wanted!r}. {nearest(wanted, SPLITS)}"
        )
    labels = (canonical(cells["label"]),) if "label" in cells else _labels(path, line, fields, cells, columns)
    return _Row(line, cells["path"], labels, split, cells.get("group", ""))


def _labels(path: Path, line: int, fields: Sequence[str], cells: dict[str, str], columns: _Columns) -> tuple[str, ...]:
    """Return the classes of a row: those in its cell `labels`, or those whose columns hold 1."""
    if "labels" in cells:
        named = (canonical(name.strip()) for name in _BETWEEN_LABELS.split(cells["labels"]))
        return tuple(dict.fromkeys(filter(None, named)))
    values = {name: fields[place].strip() for name, place in columns.classes.items()}
    for name, value in values.items():
        if value.lower() not in (*_TRUE, *_FALSE):
            raise _missing(path, "label", columns, f"; {name!r} holds {value!r} in line {line}")
    return tuple(name for name, value in values.items() if value.lower() in _TRUE)


def _once(path: Path, rows: Sequence[_Row]) -> tuple[list[_Row], list[str]]:
    """Return the rows of distinct images, and the paths of those that are listed again in the same way."""
    first: dict[str, _Row] = {}
    repeated: list[str] = []
    for row in rows:
        key = canonical(os.path.normpath(row.path))
        earlier = first.setdefault(key, row)
        if earlier is row:
            continue
        for what, word in (("text", "labels"), ("split", "splits"), ("group", "groups")):
            values = getattr(earlier, what), getattr(row, what)
            if values[0] != values[1]:
                raise DataError(
                    f"{path} lists {row.path} twice, in lines {earlier.line} and {row.line}, with the {word} "
                    f"{values[0]!r} and {values[1]!r}. Keep one of the two."
                )
        repeated.append(row.path)
    return list(first.values()), repeated


_TITLE = "a CSV file with the columns path, label (or labels) and, if you like, split"
SOURCES.add("csv", Source(_TITLE, recognises, open_manifest))
