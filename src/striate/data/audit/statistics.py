"""What there is in a data set, counted: the facts of an audit, before anything is made of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Int64

from striate.data.audit.survey import Survey, large_group
from striate.data.dataset import SPLITS, Dataset, Split

# Plain settings types only: `core.config.to_json` writes these rows.


@dataclass(frozen=True)
class ClassCount:
    """The readable pictures of one class, in all and in each part."""

    name: str
    total: int
    train: int
    val: int
    test: int


@dataclass(frozen=True)
class Sizes:
    """Height and width of the upright pictures: the smallest and the largest by area, the median of each side."""

    smallest: tuple[int, ...]
    median: tuple[int, ...]
    largest: tuple[int, ...]
    distinct: int


@dataclass(frozen=True)
class Counted:
    """How many pictures are of one kind."""

    what: str
    count: int


@dataclass(frozen=True)
class Unread:
    """A picture that cannot be read, and why: `reason` in a word, `detail` with more."""

    name: str
    reason: str
    detail: str

    @property
    def why(self) -> str:
        """The reason and its detail, in one."""
        return f"{self.reason} ({self.detail})" if self.detail else self.reason


@dataclass(frozen=True)
class Group:
    """Pictures that are equal, or alike: the representative first.

    `classes` and `parts` are those of its members, each once. A `large` group is so large that it does not bind the
    parts.
    """

    kind: Literal["equal", "alike"]
    names: tuple[str, ...]
    classes: tuple[str, ...]
    parts: tuple[str, ...]
    large: bool


def class_counts(dataset: Dataset, survey: Survey, parts: dict[Split, np.ndarray]) -> tuple[ClassCount, ...]:
    """One row for each class, in the order of the classes."""
    chosen = [np.flatnonzero(survey.readable), *(parts[part] for part in SPLITS)]
    columns = [np.bincount(dataset.targets[indices], minlength=len(dataset.classes)).tolist() for indices in chosen]
    return tuple(ClassCount(name, *row) for name, *row in zip(dataset.classes, *columns, strict=True))


def sizes(survey: Survey) -> Sizes | None:
    """The sizes of the readable pictures; None where there are none."""
    heights, widths = survey.heights[survey.readable], survey.widths[survey.readable]
    if not len(heights):
        return None
    area = heights * widths
    ends = [(int(heights[at]), int(widths[at])) for at in (area.argmin(), area.argmax())]
    median = (int(np.median(heights)), int(np.median(widths)))
    return Sizes(ends[0], median, ends[1], len(np.unique(heights << 32 | widths)))


def kinds(survey: Survey) -> tuple[Counted, ...]:
    """How the files hold their pictures, and which channels these have; the commonest first."""
    modes, counts = np.unique(
        np.char.add(np.char.add(survey.modes, ": "), survey.channels)[survey.readable], return_counts=True
    )
    return tuple(Counted(str(modes[at]), int(counts[at])) for at in np.argsort(-counts, kind="stable"))


def unread(dataset: Dataset, survey: Survey) -> tuple[Unread, ...]:
    """The unreadable pictures."""
    return tuple(
        Unread(dataset.store.name(index), str(survey.reasons[index]), str(survey.details[index]))
        for index in np.flatnonzero(~survey.readable).tolist()
    )


def groups(dataset: Dataset, survey: Survey, parts: dict[Split, np.ndarray]) -> tuple[Group, ...]:
    """The groups of equal pictures, and those of alike ones (the equal ones among them once), larger ones first."""
    part = np.full(len(dataset), "", object)
    for name, indices in parts.items():
        part[indices] = name
    single = survey.equal == np.arange(len(survey))
    found: list[Group] = []
    kinds: tuple[tuple[Literal["equal", "alike"], Int64[np.ndarray, " n"], np.ndarray], ...] = (
        ("equal", survey.equal, np.arange(len(survey))),
        ("alike", survey.alike[single], np.flatnonzero(single)),
    )
    for kind, representatives, members in kinds:
        for indices in _shared(representatives, members):
            names = tuple(map(dataset.store.name, indices.tolist()))
            classes = tuple(dataset.classes[target] for target in np.unique(dataset.targets[indices]).tolist())
            among = tuple(name for name in SPLITS if name in part[indices])
            found.append(Group(kind, names, classes, among, len(indices) > large_group(len(survey))))
    return tuple(found)


def _shared(representatives: np.ndarray, members: np.ndarray) -> list[np.ndarray]:
    """The members of each group of more than one, the representative first and then by index; larger groups first."""
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
