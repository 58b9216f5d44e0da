"""Statistics of a data set: counts, sizes, kinds of files, unreadable images and groups of duplicates."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from striate.data.audit.duplicates import SMALLEST_SIDE
from striate.data.audit.index import ImageIndex, largest_group
from striate.data.dataset import SPLITS, Dataset, Split, Splits

# Plain settings types only: `core.config.to_json` writes these rows.


@dataclass(frozen=True)
class ClassCount:
    """Number of readable images of one class, in all and in each split."""

    name: str
    total: int
    train: int
    val: int
    test: int


@dataclass(frozen=True)
class Sizes:
    """Height and width of the upright images: the smallest and the largest by area, the median of each side."""

    smallest: tuple[int, ...]
    median: tuple[int, ...]
    largest: tuple[int, ...]
    distinct: int


@dataclass(frozen=True)
class Counted:
    """Number of images of one kind."""

    what: str
    count: int


@dataclass(frozen=True)
class Unread:
    """An image that cannot be read: `reason` in a word, and `detail`."""

    name: str
    reason: str
    detail: str

    @property
    def why(self) -> str:
        """Reason and detail in one."""
        return f"{self.reason} ({self.detail})" if self.detail else self.reason


@dataclass(frozen=True)
class Group:
    """Images that are equal or near duplicates, or that the data bind into one group: the representative first.

    `labels` are those of the images, in the order of `names`; `classes` and `splits` are theirs, each once. An image of
    several classes has all of them as one label, or "no label". A `large` group may be divided between splits.
    """

    kind: Literal["equal", "alike", "bound"]
    names: tuple[str, ...]
    labels: tuple[str, ...]
    classes: tuple[str, ...]
    splits: tuple[str, ...]
    large: bool


@dataclass(frozen=True, eq=False)
class Statistics:
    """Contents of `dataset`, counted over its `index` and over `splits`."""

    dataset: Dataset
    index: ImageIndex
    splits: Splits

    @property
    def images(self) -> int:
        """Number of images, unreadable ones included."""
        return len(self.index)

    @cached_property
    def classes(self) -> tuple[ClassCount, ...]:
        """One row for each class, in the order of the classes."""
        chosen = [np.flatnonzero(self.index.readable), *(self.splits[split] for split in SPLITS)]
        columns = [self.dataset.class_counts(indices).tolist() for indices in chosen]
        return tuple(ClassCount(name, *row) for name, *row in zip(self.dataset.classes, *columns, strict=True))

    @cached_property
    def lacking(self) -> dict[Split, tuple[str, ...]]:
        """The classes of which a split that is not empty has no image."""
        found: dict[Split, tuple[str, ...]] = {}
        for split, indices in self.splits.items():
            counts = self.dataset.class_counts(indices)
            names = tuple(name for name, count in zip(self.dataset.classes, counts, strict=True) if not count)
            if len(indices) and names:
                found[split] = names
        return found

    @cached_property
    def sizes(self) -> Sizes | None:
        """The sizes of the readable images; None where there are none."""
        heights, widths = self.index.heights[self.index.readable], self.index.widths[self.index.readable]
        if not len(heights):
            return None
        area = heights * widths
        ends = [(int(heights[at]), int(widths[at])) for at in (area.argmin(), area.argmax())]
        median = (int(np.median(heights)), int(np.median(widths)))
        return Sizes(ends[0], median, ends[1], len(np.unique(heights << 32 | widths)))

    @cached_property
    def kinds(self) -> tuple[Counted, ...]:
        """Storage modes of the files, with the channels of the images; the most frequent first."""
        modes, channels = (column[self.index.readable] for column in (self.index.modes, self.index.channels))
        modes, counts = np.unique(np.char.add(np.char.add(modes, ": "), channels), return_counts=True)
        return tuple(Counted(str(modes[at]), int(counts[at])) for at in np.argsort(-counts, kind="stable"))

    @cached_property
    def unread(self) -> tuple[Unread, ...]:
        """The unreadable images."""
        found = np.flatnonzero(~self.index.readable)
        columns = found, self.index.reasons[found], self.index.details[found]
        rows = zip(*(column.tolist() for column in columns), strict=True)
        return tuple(Unread(self.dataset.store.name(at), reason, detail) for at, reason, detail in rows)

    @cached_property
    def rotated(self) -> int:
        """Number of images that were turned upright by their EXIF orientation."""
        return int(np.count_nonzero(self.index.orientations > 1))

    @cached_property
    def comparable(self) -> bool:
        """Whether any image is large enough to be compared for near duplicates."""
        return bool((np.minimum(self.index.heights, self.index.widths) >= SMALLEST_SIDE).any())

    @cached_property
    def groups(self) -> tuple[Group, ...]:
        """The groups of equal images, then those of near duplicates (equal images counted once); largest first."""
        everyone = np.arange(len(self.index))
        single = np.flatnonzero(self.index.duplicate_of == everyone)
        equal = _shared(self.index.duplicate_of, everyone)
        alike = _shared(self.index.near_duplicate_of[single], single)
        return (
            *(self._group("equal", members) for members in equal),
            *(self._group("alike", members) for members in alike),
        )

    @cached_property
    def parted(self) -> tuple[Group, ...]:
        """The groups of the data (`Dataset.groups`) that are in more than one split; largest first."""
        if self.dataset.groups is None:
            return ()
        placed = np.flatnonzero(self._split_of != "")
        _, first, which = np.unique(self.dataset.groups[placed], return_index=True, return_inverse=True)
        groups = (self._group("bound", members) for members in _shared(placed[first][which], placed))
        return tuple(group for group in groups if len(group.splits) > 1)

    @cached_property
    def _split_of(self) -> np.ndarray:
        """The split of each image; empty for those in none."""
        found = np.full(len(self.dataset), "", object)
        for split, indices in self.splits.items():
            found[indices] = split
        return found

    def _group(self, kind: Literal["equal", "alike", "bound"], members: np.ndarray) -> Group:
        dataset = self.dataset
        none = "no label" if dataset.has_label_sets else ""
        labels = tuple(dataset.label(member) or none for member in members.tolist())
        _, first = np.unique(dataset.targets[members], axis=0, return_index=True)
        return Group(
            kind,
            names=tuple(map(dataset.store.name, members.tolist())),
            labels=labels,
            classes=tuple(labels[place] for place in first.tolist() if labels[place]),
            splits=tuple(split for split in SPLITS if split in self._split_of[members]),
            large=len(members) > largest_group(len(self.index)),
        )


def _shared(representatives: np.ndarray, members: np.ndarray) -> list[np.ndarray]:
    """Return the members of each group of more than one, the representative first, then by index; largest first."""
    order = np.argsort(representatives, kind="stable")
    _, starts, counts = np.unique(representatives[order], return_index=True, return_counts=True)
    several = np.flatnonzero(counts > 1)
    several = several[np.argsort(-counts[several], kind="stable")]
    found: list[np.ndarray] = []
    for at in several.tolist():
        indices = order[starts[at] : starts[at] + counts[at]]
        first = members[indices] != representatives[indices]
        found.append(members[indices[np.argsort(first, kind="stable")]])
    return found
