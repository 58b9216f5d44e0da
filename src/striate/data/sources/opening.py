"""Open data by name or by path."""

from __future__ import annotations

import dataclasses
import importlib
import os
import re
from pathlib import Path

from striate.core.errors import DataError, nearest
from striate.core.progress import Progress, silent
from striate.data.dataset import Dataset
from striate.data.sources import named_registry, shards
from striate.data.sources.named_registry import DATASETS as DATASETS
from striate.data.sources.named_registry import is_named as is_named
from striate.data.sources.registry import SOURCES
from striate.data.sources.text import Finder

# Kinds of sources and named data sets are registered when their modules are imported.
_SOURCES = ("folder", "manifest", "idx", "cifar", "npz", "shards")
_NAMED = ("sources.named", "sources.digits", "synthetic.shapes")
# Also in the form of a path, where two slashes are one. A Windows drive is a single letter.
_URL = re.compile(r"([a-z][a-z0-9+.-]+):/+(?=[^/])", re.IGNORECASE)

for _module in (*(f"sources.{name}" for name in _SOURCES), *_NAMED):
    importlib.import_module(f"striate.data.{_module}")


def open_data(source: str | Path, *, minimum_classes: int = 2, progress: Progress = silent) -> Dataset:
    """Open the data that `source` names.

    A name is one of the named data sets, with options after a colon (`"digits"`, `"shapes:count=2000,seed=1"`); to open
    a folder of the same name, write `./digits`. Anything else is a path: a folder with a folder for each class, a CSV
    file, a folder of IDX files, a folder in CIFAR's binary layout, an npz file, or tar shards (a folder of them, or a
    pattern as `photos-{000000..000099}.tar`). `progress` counts the bytes of downloads. Training needs
    `minimum_classes` of 2; for evaluation, 1 suffices.

    Raises:
        DataError: nothing of that name exists, or the data are invalid; the message gives the remedy.
    """
    if not isinstance(source, (str, os.PathLike)):
        raise DataError(
            f"Data are a path or the name of a data set; received an object of type {type(source).__name__}. "
            "Save arrays by numpy.savez('data.npz', images=images, labels=labels), and pass the path of that file."
        )
    text = str(source)
    if text == named_registry.OWN_LOADERS:
        raise DataError("A run on loaders of your own does not store their images. Pass the data, or the loaders.")
    named = named_registry.is_named(source)
    dataset = named_registry.open_named(source, progress) if named else _open_path(source, text)
    dataset = dataclasses.replace(dataset, source=text, cautions=(*dataset.cautions, *_also_a_folder(source)))
    if not dataset.classes:
        raise DataError(f"{text} names no class: none of its {len(dataset):,} images has a label. Label them.")
    if len(dataset.classes) < minimum_classes:
        raise DataError(
            f"{text} has images of one class only, {dataset.classes[0]!r}; a classifier needs at least two. "
            + (" ".join(dataset.cautions) or "Add the images of another class.")
        )
    return dataset


def refuse_url(source: str | Path) -> None:
    """Refuse a URL in the place of a path.

    Raises:
        DataError: `source` is a URL.
    """
    match = _URL.match(str(source))
    if match:
        name = str(source).rstrip("/").rpartition("/")[2] or "the file"
        raise DataError(
            f"{source} is a URL, and Striate opens files on this machine. "
            + (
                "Write the path without file://."
                if match[1].lower() == "file"
                else f"Download it first, then name the file: {name}"
            )
        )


def _also_a_folder(source: str | Path) -> list[str]:
    """Return a caution if the name of a named data set is also that of a folder here."""
    if not named_registry.is_named(source) or not os.path.isdir(source):
        return []
    return [f"{source} is the named data set; the folder of that name in this place is written ./{source}"]


def _open_path(source: str | Path, text: str) -> Dataset:
    refuse_url(source)
    if "\0" in text:
        raise DataError(f"{text!r} is not a path: no path has a zero byte.")
    try:
        path = Finder().find(Path(source).expanduser())
        exists = path.exists()
        entries = [entry for entry in SOURCES.values() if exists and entry.recognises(path)]
    except OSError as error:
        raise DataError(f"{text} cannot be read: {error.strerror or error}.") from error
    except RuntimeError as error:
        raise DataError(
            f"{text} begins with ~ and a name, and there is no user of that name. A folder that is called so is "
            f"written ./{text}."
        ) from error
    if not exists and shards.is_pattern(text):
        return shards.open_shards(Path(source).expanduser())
    if not exists:
        raise DataError(f"There is nothing at {text}, and no data set of that name. {_nearest(path, text)}")
    if not entries:
        kinds = "; ".join(entry.title for entry in SOURCES.values())
        raise DataError(f"{text} is not of a kind that can be opened. Supported kinds: {kinds}.")
    return entries[0].open(path)


def _nearest(path: Path, text: str) -> str:
    """Suggest a name: a named data set for a bare word, else a neighbour of the first missing part."""
    if os.sep not in text and not path.suffix:
        return nearest(text.partition(":")[0], named_registry.DATASETS)
    missing = path
    while not os.path.exists(missing.parent):
        missing = missing.parent
    if not missing.parent.is_dir():
        return f"{missing.parent} is a file, not a folder."
    try:
        neighbours = [entry.name for entry in missing.parent.iterdir() if not entry.name.startswith(".")]
    except OSError as error:
        return f"{missing.parent} cannot be listed: {error.strerror or error}."
    return nearest(missing.name, neighbours) if 0 < len(neighbours) <= 20 else f"Look into {missing.parent.resolve()}."
