"""Registry of the kinds of sources of labelled images, and the construction of their data sets."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from striate.core.errors import DataError
from striate.core.names import legible
from striate.core.registry import Registry, natural_key
from striate.data.dataset import SPLITS, Dataset, Split, Store


@dataclass(frozen=True)
class Source:
    """One kind of source: its title, the test whether a path is of it, and the function that opens it.

    At most one kind recognises a path. `open(path)` raises `DataError` with one sentence if the data are invalid.
    """

    title: str
    recognises: Callable[[Path], bool]
    open: Callable[[Path], Dataset]


SOURCES: Registry[Source] = Registry("kind of source", DataError)


def natural_order(names: Sequence[str]) -> list[str]:
    """Return distinct names, `2` before `10`, in an order that is the same on every machine."""
    return sorted(set(names), key=lambda name: (natural_key(name), name))


def by_label(
    path: Path,
    store: Store,
    labels: Sequence[str],
    parts: Sequence[Split | None],
    notes: Sequence[str] = (),
    cautions: Sequence[str] = (),
) -> Dataset:
    """Return a data set from the label (in canonical form) and the split, if any, of each image."""
    classes = natural_order(labels)
    place = {name: target for target, name in enumerate(classes)}
    return Dataset(
        name=title_of(path),
        store=store,
        classes=tuple(classes),
        targets=np.array([place[label] for label in labels], dtype=np.int64),
        splits=group(parts),
        source=str(path),
        notes=tuple(map(legible, notes)),
        cautions=tuple(map(legible, cautions)),
    )


def by_labels(
    path: Path,
    store: Store,
    labels: Sequence[Collection[str]],
    parts: Sequence[Split | None],
    notes: Sequence[str] = (),
    *,
    classes: Sequence[str] = (),
) -> Dataset:
    """Return a data set from the labels (in canonical form) and the split, if any, of each image.

    `classes` are included even where no image has them.
    """
    names = natural_order([*classes, *(name for each in labels for name in each)])
    place = {name: column for column, name in enumerate(names)}
    targets = np.zeros((len(labels), len(names)), bool)
    for row, each in enumerate(labels):
        targets[row, [place[name] for name in each]] = True
    return Dataset(
        name=title_of(path),
        store=store,
        classes=tuple(names),
        targets=targets,
        splits=group(parts),
        source=str(path),
        notes=tuple(map(legible, notes)),
    )


def title_of(path: Path) -> str:
    """Return the title of the data at `path`: the name of the folder, or that of the file without its suffix."""
    path = path.resolve()
    return legible(path.stem if path.is_file() else path.name)


def group(parts: Sequence[Split | None]) -> Mapping[Split, np.ndarray]:
    """Return the indices of each split that occurs, in the order train, val, test."""
    found: dict[Split, list[int]] = {split: [] for split in SPLITS}
    for index, part in enumerate(parts):
        if part:
            found[part].append(index)
    return {split: np.array(indices, dtype=np.int64) for split, indices in found.items() if indices}


def listed(names: Sequence[Hashable], most: int = 3) -> str:
    """Join the first few of many names for a sentence."""
    return ", ".join(map(str, names[:most])) + (", …" if len(names) > most else "")
