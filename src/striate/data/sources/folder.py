"""A folder with a folder of pictures for each class, with or without `train/`, `val/` and `test/` above them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import repeat
from pathlib import Path

from striate.core.errors import DataError
from striate.core.registry import natural_key
from striate.data.dataset import Dataset, FileStore, Split
from striate.data.decode import SUFFIXES
from striate.data.sources import cifar, idx
from striate.data.sources.registry import SOURCES, Source, by_label, listed, natural_order

SPLIT_FOLDERS: dict[str, Split] = {
    "train": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
}


@dataclass
class _Found:
    """What a walk through the folders gathers: pictures with class and split, and what was passed over."""

    paths: list[str] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    parts: list[Split | None] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    outside: list[str] = field(default_factory=list)
    empty: list[str] = field(default_factory=list)


def recognises(path: Path) -> bool:
    return path.is_dir() and not idx.recognises(path) and not cifar.recognises(path)


def open_folder(root: Path) -> Dataset:
    """Open a folder of class folders.

    The class of a picture is the name of the folder directly below the root (or below `train/` …); folders inside it
    only order the pictures. Symbolic links are followed. What begins with a dot is no data. Files that are not called
    like pictures, pictures outside of any class folder, and class folders without pictures are passed over and noted.

    Raises:
        DataError: there are no class folders with pictures, or a folder cannot be listed.
    """
    found = _Found()
    try:
        if _is_split(root):
            for folder in _folders(root):
                _gather(root, root / folder, SPLIT_FOLDERS[folder.lower()], found)
        else:
            _gather(root, root, None, found)
    except OSError as error:
        raise DataError(f"{error.filename} cannot be listed: {error.strerror}.") from error
    if not found.paths:
        raise _nothing(root, found)
    return by_label(root, FileStore(root, found.paths), found.labels, found.parts, _notes(found))


def pictures_in(folder: Path) -> list[Path]:
    """The files in `folder` and below it that are called like pictures, in natural order."""
    return [path for path in _files(folder, ()) if _is_picture(path.name)]


def _is_split(root: Path) -> bool:
    """Whether all folders in `root` are called like splits, and one of them holds class folders."""
    folders = _folders(root)
    return (
        bool(folders)
        and all(name.lower() in SPLIT_FOLDERS for name in folders)
        and any(_folders(root / name) for name in folders)
    )


def _folders(folder: Path) -> list[str]:
    return natural_order([entry.name for entry in os.scandir(folder) if _counts(entry.name) and entry.is_dir()])


def _counts(name: str) -> bool:
    return not name.startswith(".") and name != "__MACOSX"


def _gather(root: Path, top: Path, part: Split | None, found: _Found) -> None:
    """Collect the pictures of the class folders in `top`."""
    labels = _folders(top)
    for name in natural_order([entry.name for entry in os.scandir(top) if _counts(entry.name)]):
        if name not in labels:
            (found.outside if _is_picture(name) else found.others).append(_relative(top / name, root))
    for label in labels:
        before = len(found.paths)
        for path in _files(top / label, ()):
            if _is_picture(path.name):
                found.paths.append(_relative(path, root))
            else:
                found.others.append(_relative(path, root))
        count = len(found.paths) - before
        found.labels.extend(repeat(label, count))
        found.parts.extend(repeat(part, count))
        if not count:
            found.empty.append(_relative(top / label, root))


def _files(folder: Path, above: tuple[str, ...]) -> Iterator[Path]:
    """All files in `folder` and the folders below, in natural order; a link back to one `above` is not followed."""
    real = os.path.realpath(folder)
    if real in above:
        return
    entries = [entry for entry in os.scandir(folder) if _counts(entry.name)]
    for entry in sorted(entries, key=lambda entry: (natural_key(entry.name), entry.name)):
        if entry.is_dir():
            yield from _files(folder / entry.name, (*above, real))
        else:
            yield folder / entry.name


def _is_picture(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in SUFFIXES


def _relative(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix()


def _notes(found: _Found) -> list[str]:
    kinds = (
        (found.others, "not called like a picture and passed over"),
        (found.outside, "outside of any class folder and passed over"),
        (found.empty, "a class folder without pictures, and no class"),
    )
    return [f"{len(names):,} × {what}: {listed(names)}." for names, what in kinds if names]


def _nothing(root: Path, found: _Found) -> DataError:
    wanted = f"Put the pictures of each class into a folder of its own, as in {root.name or root}/cat/1.jpg"
    if found.outside:
        return DataError(
            f"{root} holds {len(found.outside):,} pictures but no class folders. {wanted}, or list them in a CSV file "
            "with the columns path and label."
        )
    if found.others:
        return DataError(f"{root} holds no pictures, only files such as {listed(found.others)}. {wanted}.")
    return DataError(f"{root} holds no pictures. {wanted}.")


SOURCES.add("folder", Source("a folder with a folder of pictures for each class", recognises, open_folder))
