"""Read the tree of a folder once, before it is interpreted."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from striate.core.registry import natural_key
from striate.data.images.decode import SUFFIXES


@dataclass(eq=False)
class Folder:
    """A folder: its `path` relative to the root, with slashes ("" for the root itself), and its contents.

    `entries` are images (paths relative to the root) and folders in natural order; `others` are files without the
    suffix of an image. Names that begin with a dot, and `__MACOSX`, are left out.
    """

    name: str
    path: str
    entries: list[str | Folder] = field(default_factory=list)
    others: list[str] = field(default_factory=list)

    @property
    def folders(self) -> list[Folder]:
        """The folders directly in this one."""
        return [entry for entry in self.entries if isinstance(entry, Folder)]

    @property
    def own(self) -> list[str]:
        """The images directly in this folder."""
        return [entry for entry in self.entries if isinstance(entry, str)]

    @cached_property
    def holding(self) -> list[Folder]:
        """The folders directly in this one that hold images, at any depth."""
        return [folder for folder in self.folders if next(folder.images(), None) is not None]

    def images(self) -> Iterator[str]:
        """Yield all images in this folder and the folders below, in natural order."""
        for folder in self._walk():
            if isinstance(folder, str):
                yield folder

    def every_other(self) -> list[str]:
        """Return all files here and below without the suffix of an image."""
        below = [name for entry in self._walk() if isinstance(entry, Folder) for name in entry.others]
        return [*self.others, *below]

    def _walk(self) -> Iterator[str | Folder]:
        # Without recursion: a path may have more folders than Python has frames.
        waiting = [iter(self.entries)]
        while waiting:
            entry = next(waiting[-1], None)
            if entry is None:
                waiting.pop()
                continue
            yield entry
            if isinstance(entry, Folder):
                waiting.append(iter(entry.entries))


@dataclass(frozen=True)
class Tree:
    """The folder at `root`, and a line for each folder below it that could not be listed."""

    root: Folder
    closed: tuple[str, ...]


def read_tree(root: Path) -> Tree:
    """Read the contents of `root`. Symbolic links are followed, but not back to a folder above them.

    Raises:
        OSError: `root` itself cannot be listed.
    """
    top = Folder(root.name, "")
    closed: list[str] = []
    waiting: list[tuple[Folder, frozenset[tuple[int, int]]]] = [(top, frozenset())]
    while waiting:
        folder, above = waiting.pop()
        here = root / folder.path
        try:
            status = os.stat(here)
            identity = status.st_dev, status.st_ino
            if identity not in above:
                _list(folder, here)
                waiting += [(inner, above | {identity}) for inner in folder.folders]
        except OSError as error:
            if folder is top:
                raise
            closed.append(f"{folder.path} ({error.strerror or error})")
    return Tree(top, tuple(sorted(closed)))


def images_in(folder: Path) -> list[Path]:
    """Return the files in `folder` and below with the suffix of an image, in natural order.

    Raises:
        OSError: the folder cannot be listed.
    """
    return [folder / path for path in read_tree(folder).root.images()]


def _list(folder: Folder, here: Path) -> None:
    with os.scandir(here) as scanned:
        found = [(entry.name, _is_folder(entry)) for entry in scanned if _counts(entry.name)]
    for name, is_folder in sorted(found, key=lambda item: (natural_key(item[0]), item[0])):
        path = f"{folder.path}/{name}" if folder.path else name
        if is_folder:
            folder.entries.append(Folder(name, path))
        elif os.path.splitext(name)[1].lower() in SUFFIXES:
            folder.entries.append(path)
        else:
            folder.others.append(path)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _counts(name: str) -> bool:
    return not name.startswith(".") and name != "__MACOSX"
