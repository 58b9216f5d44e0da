"""Divide a data set for training, validation and test: by content, stratified, near duplicates together.

The split depends on content, not on names, order or machine: the digest of an image replaces a random draw.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64, UInt8

from striate.core.errors import ConfigError
from striate.data.audit.digests import DIGEST_BYTES
from striate.data.audit.index import ImageIndex
from striate.data.dataset import Dataset, Split, Splits

# Validation compares one epoch with another: 5,000 images measure accuracy to 0.7 points (one standard error, at
# worst), and more would be missing in training.
_ENOUGH_FOR_VALIDATION = 5000

Groups = Int64[np.ndarray, " n"]


@dataclass(frozen=True)
class Fractions:
    """Fractions of the images for validation and for test; the rest is for training."""

    val: float = 0.2
    test: float = 0.2

    def __post_init__(self) -> None:
        if not (self.val >= 0 and self.test >= 0 and self.val + self.test < 1):
            raise ConfigError(
                "The fractions for validation and test are at least 0 and their sum is below 1, so that images are "
                f"left for training; received {self.val:g} and {self.test:g}."
            )


def split(dataset: Dataset, index: ImageIndex, *, fractions: Fractions | None = None) -> Splits:
    """Return the indices of the three splits, each in ascending order; a split may be empty.

    Splits that the data bring (`Dataset.splits`) stay as they are. Those that they do not bring are taken from their
    training split and from images that they place in none. Unreadable images are in no split.

    Images of one group (`Dataset.groups`) stay in one split, as near duplicates do. Both hold among the images that are
    divided here.
    """
    fractions = fractions or Fractions()
    splits = index.splits_of(dataset)
    placed = np.zeros(len(dataset), bool)
    placed[np.concatenate([splits["val"], splits["test"]])] = True
    pool = np.flatnonzero(index.readable & ~placed)
    wanted: tuple[tuple[Split, float], ...] = (("val", fractions.val), ("test", fractions.test))
    missing: dict[Split, float] = {}
    for name, fraction in wanted:
        if fraction > 0 and name not in dataset.splits:
            missing[name] = fraction
    if "test" not in missing and "val" in missing:  # of the training split alone: the fraction of validation in it
        missing["val"] = _for_validation(missing["val"] / (1 - fractions.test), len(pool))
    carved = by_content(index.digests[pool], dataset.strata[pool], missing, _inseparable(index, dataset)[pool])
    splits["train"] = pool[carved < 0]
    for number, name in enumerate(missing):
        splits[name] = pool[carved == number]
    return splits


def cross_validation_splits(
    dataset: Dataset, index: ImageIndex, *, folds: int = 5, val: float = 0.2
) -> tuple[Splits, ...]:
    """Return the splits of each fold: every image is in the test split of exactly one.

    Classes are distributed evenly over the folds. Of the images of the other folds, those of the fraction `val` of all
    images are for validation. Images that the data themselves place in the test split are in no fold, so that they
    remain for a last evaluation. A group and near duplicates are in one fold together.

    Raises:
        ConfigError: there are fewer than 2 folds, more folds than groups of images, or nothing is left for training.
    """
    if not 0 < val < 1 - 1 / max(1, folds):
        raise ConfigError(
            "The fractions for validation and for test (1/folds) leave images for training; received "
            f"{folds} folds and a validation fraction of {val:g}."
        )
    fold_of = folds_of(dataset, index, folds)
    pool = np.flatnonzero(fold_of >= 0)
    fold_of = fold_of[pool]
    digests, targets, owners = index.digests[pool], dataset.strata[pool], _inseparable(index, dataset)[pool]
    found: list[Splits] = []
    for fold in range(folds):
        rest = np.flatnonzero(fold_of != fold)
        fraction = _for_validation(val / (1 - 1 / folds), len(rest))
        in_val = by_content(digests[rest], targets[rest], {"val": fraction}, owners[rest]) == 0
        found.append({"train": pool[rest[~in_val]], "val": pool[rest[in_val]], "test": pool[fold_of == fold]})
    return tuple(found)


def folds_of(dataset: Dataset, index: ImageIndex, folds: int) -> Groups:
    """Return the fold of each image, from 0 on; -1 for unreadable ones and those that the data place in the test split.

    Classes are distributed evenly over the folds; a group and near duplicates are in one fold.

    Raises:
        ConfigError: there are fewer than 2 folds, or more folds than groups of images.
    """
    if folds < 2:
        raise ConfigError(f"Cross-validation has at least 2 folds; received {folds}.")
    pool, owners = _pool(dataset, index)
    if folds > group_count(dataset, index):
        raise ConfigError(
            f"Each fold has at least one image; received {folds} folds for {group_count(dataset, index)} images or "
            "groups of images that stay together."
        )
    found = np.full(len(dataset), -1, np.int64)
    found[pool] = _balanced(index.digests[pool], dataset.strata[pool], owners, folds)
    return found


def group_count(dataset: Dataset, index: ImageIndex) -> int:
    """Return how many folds there can be at most: images, or groups of images that stay together, outside of "test"."""
    return len(np.unique(_pool(dataset, index)[1]))


def _pool(dataset: Dataset, index: ImageIndex) -> tuple[np.ndarray, np.ndarray]:
    """Return the readable images outside of the test split, and the group of each."""
    pool = np.setdiff1d(np.flatnonzero(index.readable), index.splits_of(dataset)["test"])
    return pool, _inseparable(index, dataset)[pool]


def evenly_spaced(indices: np.ndarray, most: int) -> np.ndarray:
    """Return at most `most` of `indices`, evenly spaced."""
    return indices[np.linspace(0, len(indices) - 1, min(most, len(indices))).round().astype(int)]


def by_content(
    digests: UInt8[np.ndarray, "n 32"],
    targets: Int64[np.ndarray, " n"],
    fractions: Mapping[Split, float],
    groups: Groups | None = None,
) -> Int64[np.ndarray, " n"]:
    """Return the split of each image, by its place among `fractions`; -1 for none.

    Class by class, whole groups in the order of their smallest digest fill one split after the other: each gets its
    fraction of the class, rounded, at least one image where the class has an image for each split, and never a group
    that is larger than the room that is left. At least one image of each class is in none. One image more moves only
    images at a border. A group counts for the class of its image with the smallest digest.

    A split that stays empty, because groups are larger than the room of every class, takes the smallest groups that
    leave an image of each of their classes, at least one and up to its fraction of all images.
    """
    owners = np.arange(len(targets)) if groups is None else groups
    placed = np.full(len(targets), -1, np.int64)
    for members, sizes in _groups_by_class(digests, targets, owners):
        room, start = _room(len(members), list(fractions.values())), 0
        for size in sizes.tolist():
            fitting = next((number for number, left in enumerate(room) if left >= size), None)
            if fitting is not None:
                placed[members[start : start + size]] = fitting
                room[fitting] -= size
            elif not any(room):
                break
            start += size
    for number, fraction in enumerate(fractions.values()):
        if not (placed == number).any():
            _take_smallest(placed, number, int(len(targets) * fraction + 0.5), digests, targets, owners)
    return placed


def _take_smallest(
    placed: Int64[np.ndarray, " n"],
    number: int,
    wanted: int,
    digests: UInt8[np.ndarray, "n 32"],
    targets: Int64[np.ndarray, " n"],
    owners: Groups,
) -> None:
    """Place the smallest groups of several images in the split `number`, which is empty."""
    free = np.flatnonzero(placed < 0)
    order = free[np.argsort(owners[free], kind="stable")]
    groups = np.split(order, np.flatnonzero(np.diff(owners[order])) + 1)
    several = [group for group in groups if len(group) > 1]
    left, taken = Counter(targets[free].tolist()), 0
    for group in sorted(several, key=lambda group: (len(group), min(digests[group].tolist()))):
        own = Counter(targets[group].tolist())
        if (taken == 0 < wanted or taken + len(group) <= wanted) and all(left[each] > own[each] for each in own):
            placed[group] = number
            left -= own
            taken += len(group)


def _balanced(
    digests: UInt8[np.ndarray, "n 32"], targets: Int64[np.ndarray, " n"], groups: Groups, folds: int
) -> Int64[np.ndarray, " n"]:
    """Return the fold of each image.

    Class by class, the largest groups first, each goes to the fold with the fewest images of its class; of equal ones,
    to the one with the fewest images.
    """
    placed = np.empty(len(targets), np.int64)
    totals = [0] * folds
    for members, sizes in _groups_by_class(digests, targets, groups):
        counts, ends = [0] * folds, np.cumsum(sizes)
        for number in np.argsort(-sizes, kind="stable").tolist():
            group = members[ends[number] - sizes[number] : ends[number]]
            fold = min(range(folds), key=lambda number: (counts[number], totals[number]))
            placed[group] = fold
            counts[fold] += len(group)
            totals[fold] += len(group)
    return placed


def _groups_by_class(
    digests: np.ndarray, targets: np.ndarray, groups: Groups
) -> list[tuple[Int64[np.ndarray, " m"], Int64[np.ndarray, " g"]]]:
    """Return for each class the images of its groups, one group after the other, and the sizes of the groups.

    Classes, groups and the images of a group are in the order of their (smallest) digests.
    """
    order = np.argsort(np.ascontiguousarray(digests).view(f"S{DIGEST_BYTES}").reshape(-1), kind="stable")
    # Each image receives the place in `order` of the first image of its group, and of the first one of its class.
    _, first, which = np.unique(groups[order], return_index=True, return_inverse=True)
    heads = first[which]
    _, first, which = np.unique(targets[order][heads], return_index=True, return_inverse=True)
    labels = first[which]
    rows = np.lexsort((heads, labels))
    borders = np.flatnonzero(np.diff(labels[rows])) + 1
    members, heads = (np.split(column[rows], borders) for column in (order, heads))
    return [
        (images, np.diff(np.flatnonzero(np.diff(owners, prepend=-1)), append=len(images)))
        for images, owners in zip(members, heads, strict=True)
    ]


def _room(count: int, fractions: list[float]) -> list[int]:
    """Return how many of a class's `count` images each split takes; one at least remains."""
    least = 1 if count > len(fractions) else 0
    room = [max(least, int(count * fraction + 0.5)) for fraction in fractions]
    while sum(room) >= max(count, 1):  # of equal splits, the last one takes less
        room[max(range(len(room)), key=lambda number: (room[number], number))] -= 1
    return room


def _for_validation(fraction: float, count: int) -> float:
    """Return the fraction of `count` images for validation, limited to the number that is useful."""
    return min(fraction, _ENOUGH_FOR_VALIDATION / max(1, count))


def _inseparable(index: ImageIndex, dataset: Dataset) -> Groups:
    """Return the group of each image that stays in one split: near duplicates, and `Dataset.groups`."""
    if dataset.groups is None:
        return index.inseparable
    _, given = np.unique(dataset.groups, return_inverse=True)
    joined = index.inseparable
    while True:  # each round gives every member of a group the smallest number in it, until none changes
        before = joined
        for owners in (given, index.inseparable):
            smallest = np.full(len(owners), len(owners), np.int64)
            np.minimum.at(smallest, owners, joined)
            joined = smallest[owners]
        if (joined == before).all():
            return joined
