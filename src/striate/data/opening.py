"""One function opens all data: by name, or by what lies at a path."""

from __future__ import annotations

import dataclasses
import importlib
import os
from pathlib import Path

from striate.core.errors import DataError, nearest
from striate.data import catalogue
from striate.data.dataset import Dataset
from striate.data.download import Progress
from striate.data.sources.registry import SOURCES

# Kinds of sources and named data sets register themselves when their modules are imported.
_SOURCES = ("folder", "manifest", "idx", "cifar", "npz")
_NAMED = ("named", "digits", "shapes")
for _module in (*(f"sources.{name}" for name in _SOURCES), *_NAMED):
    importlib.import_module(f"striate.data.{_module}")


def open_data(source: str | Path, *, minimum_classes: int = 2, progress: Progress | None = None) -> Dataset:
    """Open the data that `source` names.

    A name is one of the named data sets, with options behind a colon (`"digits"`, `"shapes:count=2000,seed=1"`); to
    open a folder that is called like one, write `./digits`. Anything else is a path: a folder with a folder for each
    class, a CSV file, a folder of IDX files, a folder in CIFAR's binary layout, or an npz file. `progress(file, done,
    total)` is told of downloads, in bytes. Training needs `minimum_classes` of 2; for judging, 1 will do.

    Raises:
        DataError: there is nothing of that name, or the data are not in order: one sentence that says what to do.
    """
    text = str(source)
    if catalogue.is_named(source):
        dataset = catalogue.open_named(text, progress)
    else:
        dataset = _open_path(Path(source).expanduser(), text)
    dataset = dataclasses.replace(dataset, source=text)
    if len(dataset.classes) < minimum_classes:
        raise DataError(
            f"{text} has pictures of one class only, {dataset.classes[0]!r}; a classifier tells at least two apart. "
            "Add the pictures of another class."
        )
    return dataset


def _open_path(path: Path, text: str) -> Dataset:
    try:
        exists = path.exists()
        entries = [entry for entry in SOURCES.values() if exists and entry.recognises(path)]
    except OSError as error:
        raise DataError(f"{text} cannot be looked at: {error.strerror or error}.") from error
    except ValueError as error:  # a zero byte in the name
        raise DataError(f"{text!r} is not a path: {error}.") from error
    if not exists:
        raise DataError(f"There is nothing at {text}, and no data set of that name. {_nearest(path, text)}")
    if not entries:
        kinds = "; ".join(entry.title for entry in SOURCES.values())
        raise DataError(f"{text} is of no kind that can be opened. What can: {kinds}.")
    return entries[0].open(path)


def _nearest(path: Path, text: str) -> str:
    """What may have been meant: a named data set, if it is a bare word, else a neighbour of the first missing part."""
    if os.sep not in text and not path.suffix:
        return nearest(text.partition(":")[0], catalogue.DATASETS)
    missing = path
    while not missing.parent.exists():
        missing = missing.parent
    neighbours = [entry.name for entry in missing.parent.iterdir() if not entry.name.startswith(".")]
    return nearest(missing.name, neighbours) if 0 < len(neighbours) <= 20 else f"Look into {missing.parent.resolve()}."
