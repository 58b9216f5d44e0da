"""Look at data before anything is trained on them: what is there, what is wrong with it, and what follows from that."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from striate.core.config import to_json
from striate.core.notebook import table
from striate.core.progress import Progress, silent
from striate.data.audit import statistics
from striate.data.audit.duplicates import SMALLEST_SIDE
from striate.data.audit.statistics import ClassCount, Counted, Group, Sizes, Unread
from striate.data.audit.survey import Survey, data_digest, survey
from striate.data.audit.warnings import Finding, findings
from striate.data.dataset import Dataset, Split
from striate.data.split import Fractions, Parts, lacking, split

_FORMAT = 1


@dataclass(frozen=True, eq=False)
class Audit:
    """The facts about a data set. `parts` are those that the data bring, completed; `lacking` names the classes of
    which a part has no picture; `rotated` counts the pictures that EXIF turned, `names` are those of all pictures."""

    name: str
    source: str
    digest: str
    survey: Survey
    parts: Parts
    classes: tuple[ClassCount, ...]
    sizes: Sizes | None
    kinds: tuple[Counted, ...]
    unread: tuple[Unread, ...]
    groups: tuple[Group, ...]
    lacking: dict[Split, tuple[str, ...]]
    rotated: int
    notes: tuple[str, ...]
    cautions: tuple[str, ...]
    names: Sequence[str]

    def __repr__(self) -> str:
        counts = f"{self.pictures:,} images, {len(self.classes)} classes, {len(self.unread):,} unreadable"
        return f"Audit({self.name!r}: {counts}, {len(self.warnings)} warnings)"

    def _repr_html_(self) -> str:
        rows = [(row.name, row.train, row.val, row.test, row.total) for row in self.classes]
        findings = [(finding.level, finding.sentence) for finding in self.findings]
        counts = table(("class", "train", "val", "test", "all"), rows, title=repr(self))
        return counts + table(("level", "finding"), findings)

    @property
    def pictures(self) -> int:
        """How many pictures there are, unreadable ones included."""
        return len(self.survey)

    @property
    def compared(self) -> bool:
        """Whether any pictures are large enough to be asked whether they look alike."""
        return bool((np.minimum(self.survey.heights, self.survey.widths) >= SMALLEST_SIDE).any())

    @cached_property
    def findings(self) -> tuple[Finding, ...]:
        """What the facts mean, in sentences."""
        return findings(self)

    @property
    def warnings(self) -> tuple[str, ...]:
        """The sentences that ask for attention."""
        return tuple(finding.sentence for finding in self.findings if finding.level == "warning")

    def to_json(self) -> dict[str, Any]:
        """Everything but the survey's rows, as plain values."""
        return {
            "format": _FORMAT,
            "data": self.name,
            "source": self.source,
            "digest": self.digest,
            "pictures": self.pictures,
            "parts": {part: len(indices) for part, indices in self.parts.items()},
            "classes": _rows(self.classes),
            "sizes": to_json(self.sizes),
            "kinds": _rows(self.kinds),
            "rotated": self.rotated,
            "unreadable": _rows(self.unread),
            "duplicates": _rows(self.groups),
            "lacking": {part: list(names) for part, names in self.lacking.items()},
            "findings": _rows(self.findings),
        }


def audit(
    dataset: Dataset,
    *,
    fractions: Fractions | None = None,
    channels: tuple[str, ...] | None = None,
    progress: Progress = silent,
) -> Audit:
    """Survey `dataset` (see `striate.data.audit.survey`), part it (see `striate.data.split`) and count what is there.

    Images that cannot be given `channels`, by default those of most of the data, are left out like unreadable ones.
    """
    found = survey(dataset, channels=channels, progress=progress)
    parts = split(dataset, found, fractions)
    return Audit(
        name=dataset.name,
        source=dataset.source,
        digest=data_digest(dataset, found),
        survey=found,
        parts=parts,
        classes=statistics.class_counts(dataset, found, parts),
        sizes=statistics.sizes(found),
        kinds=statistics.kinds(found),
        unread=statistics.unread(dataset, found),
        groups=statistics.groups(dataset, found, parts),
        lacking=lacking(dataset, parts),
        rotated=int(np.count_nonzero(found.orientations > 1)),
        notes=dataset.notes,
        names=dataset.store.names,
        cautions=dataset.cautions,
    )


def _rows(rows: tuple[object, ...]) -> list[Any]:
    return [to_json(row) for row in rows]
