"""Parts for training, validation and test: by content, stratified, look-alikes together, the same on every machine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64, UInt8

from striate.core.errors import ConfigError
from striate.data.audit.digests import DIGEST_BYTES
from striate.data.audit.survey import Survey
from striate.data.dataset import SPLITS, Dataset, Split

Parts = dict[Split, np.ndarray]

# A validation part is there to compare one epoch with another: 5,000 pictures tell accuracies apart to 0.7 points
# (one standard error, at worst), and what it takes beyond that is missed in training.
_ENOUGH_FOR_VALIDATION = 5000


@dataclass(frozen=True)
class Fractions:
    """Which share of the pictures goes to validation and to test; the rest is for training."""

    val: float = 0.2
    test: float = 0.2

    def __post_init__(self) -> None:
        if min(self.val, self.test) < 0 or self.val + self.test >= 1:
            raise ConfigError(
                "The shares for validation and test are at least 0 and leave something to train on; "
                f"received {self.val:g} and {self.test:g}."
            )


def split(dataset: Dataset, survey: Survey, fractions: Fractions | None = None) -> Parts:
    """The indices of the three parts, each in rising order; a part may be empty.

    What the data bring stays where it is. Parts that they do not bring are carved out of their train part, and out of
    the pictures that they place nowhere. Unreadable pictures are in no part.
    """
    fractions = fractions or Fractions()
    readable = survey.readable
    parts: Parts = {part: _kept(dataset.splits.get(part), readable) for part in SPLITS}
    placed = np.zeros(len(dataset), bool)
    for part in ("val", "test"):
        placed[parts[part]] = True
    pool = np.flatnonzero(readable & ~placed)
    shares: tuple[tuple[Split, float], ...] = (("val", fractions.val), ("test", fractions.test))
    missing: dict[Split, float] = {}
    for part, share in shares:
        if share > 0 and part not in dataset.splits:
            missing[part] = share
    if "test" not in missing and "val" in missing:
        # Out of train alone: validation's share of what is not test, and no more than it has a use for.
        missing["val"] = min(missing["val"] / (1 - fractions.test), _ENOUGH_FOR_VALIDATION / max(1, len(pool)))
    groups = survey.together[pool]
    carved = by_content(survey.digests[pool], dataset.targets[pool], missing, groups)
    parts["train"] = pool[carved < 0]
    for number, part in enumerate(missing):
        parts[part] = pool[carved == number]
    return parts


def by_content(
    digests: UInt8[np.ndarray, "n 32"],
    targets: Int64[np.ndarray, " n"],
    shares: Mapping[Split, float],
    groups: Int64[np.ndarray, " n"] | None = None,
) -> Int64[np.ndarray, " n"]:
    """To which of `shares` (by its place among them) each picture goes; -1 to none of them.

    Class by class, whole groups in the order of their smallest digest fill one part after the other: each gets its
    share of the class, rounded, at least one picture where the class has a picture for each part, and never a group
    that is larger than the room that is left. A digest is as good as a draw, and it belongs to the picture: names,
    order and machine do not matter, and a picture more moves only the pictures at a border. A group counts for the
    class of its picture with the smallest digest.
    """
    order = np.argsort(np.ascontiguousarray(digests).view(f"S{DIGEST_BYTES}").reshape(-1), kind="stable")
    owners = np.arange(len(targets)) if groups is None else groups
    members: dict[int, list[int]] = {}
    for index, owner in zip(order.tolist(), owners[order].tolist(), strict=True):
        members.setdefault(owner, []).append(index)  # groups, and the pictures of each group, by rising digest
    classes: dict[int, list[list[int]]] = {}
    for group in members.values():
        classes.setdefault(int(targets[group[0]]), []).append(group)
    placed = np.full(len(targets), -1, np.int64)
    for of_class in classes.values():
        room = _room(sum(map(len, of_class)), list(shares.values()))
        for group in of_class:
            fitting = next((number for number, left in enumerate(room) if left >= len(group)), None)
            if fitting is not None:
                placed[group] = fitting
                room[fitting] -= len(group)
            elif not any(room):
                break
    return placed


def _room(count: int, shares: list[float]) -> list[int]:
    """How many of a class's `count` pictures each part takes."""
    least = 1 if count > len(shares) else 0
    return [max(least, int(count * share + 0.5)) for share in shares]


def _kept(indices: np.ndarray | None, readable: np.ndarray) -> np.ndarray:
    indices = np.empty(0, np.int64) if indices is None else np.sort(indices)
    return indices[readable[indices]]


def lacking(dataset: Dataset, parts: Mapping[Split, np.ndarray]) -> dict[Split, tuple[str, ...]]:
    """The classes of which a part (one that is not empty) has no picture."""
    found: dict[Split, tuple[str, ...]] = {}
    for part, indices in parts.items():
        counts = np.bincount(dataset.targets[indices], minlength=len(dataset.classes))
        names = tuple(name for name, count in zip(dataset.classes, counts, strict=True) if not count)
        if len(indices) and names:
            found[part] = names
    return found
