"""Audit a data set before training: statistics, and warnings about what may be wrong."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from striate.core.config import to_json
from striate.core.notebook import table
from striate.core.progress import Progress, silent
from striate.data.audit.index import ImageIndex, data_digest, index_images
from striate.data.audit.statistics import Statistics
from striate.data.audit.warnings import Finding, findings
from striate.data.dataset import Dataset, Splits

_FORMAT = 1


@dataclass(frozen=True, eq=False, repr=False)
class Audit(Statistics):
    """Statistics of a data set and the findings about them.

    `splits` are those of the data; `dataclasses.replace(found, splits=…)` audits others without reading the
    images again.
    """

    def __repr__(self) -> str:
        counts = f"{self.images:,} images, {len(self.classes)} classes, {len(self.unread):,} unreadable"
        return f"Audit({self.name!r}: {counts}, {len(self.warnings)} warnings)"

    def _repr_html_(self) -> str:
        rows = [(row.name, row.train, row.val, row.test, row.total) for row in self.classes]
        found = [(finding.level, finding.sentence) for finding in self.findings]
        counts = table(("class", "train", "val", "test", "all"), rows, title=repr(self))
        return counts + table(("level", "finding"), found)

    @property
    def survey(self) -> ImageIndex:
        """Former name of `index`."""
        return self.index

    @property
    def parts(self) -> Splits:
        """Former name of the splits that training uses, those of `divided()`."""
        return self.divided().splits

    def divided(self, splits: Splits | None = None) -> Audit:
        """Return the audit of the splits to train on: given ones as they are, or those of `striate.data.split.split`.

        Given splits become those of the data, and so change their digest.
        """
        if splits is None:
            from striate.data.split import split  # which imports the index of this package

            return replace(self, splits=split(self.dataset, self.index))
        dataset = replace(self.dataset, splits=splits)
        return replace(self, dataset=dataset, splits=self.index.splits_of(dataset))

    @property
    def name(self) -> str:
        """Name of the data set."""
        return self.dataset.name

    @cached_property
    def digest(self) -> str:
        """SHA-256 of pixels, classes and the splits of the data (`striate.data.audit.index.data_digest`)."""
        return data_digest(self.dataset, self.index)

    @cached_property
    def findings(self) -> tuple[Finding, ...]:
        """Findings about the statistics, in sentences."""
        return findings(self)

    @property
    def warnings(self) -> tuple[str, ...]:
        """The sentences that require attention."""
        return tuple(finding.sentence for finding in self.findings if finding.level == "warning")

    def to_json(self) -> dict[str, Any]:
        """Return everything but the rows of the index, as plain values."""
        return {
            "format": _FORMAT,
            "data": self.name,
            "source": self.dataset.source,
            "digest": self.digest,
            "images": self.images,
            "splits": {split: len(indices) for split, indices in self.splits.items()},
            "classes": _rows(self.classes),
            "sizes": to_json(self.sizes),
            "kinds": _rows(self.kinds),
            "rotated": self.rotated,
            "unreadable": [dict(vars(row)) for row in self.unread],
            "duplicates": _rows(self.groups),
            "lacking": {split: list(names) for split, names in self.lacking.items()},
            "findings": _rows(self.findings),
        }


def audit(dataset: Dataset, *, channels: tuple[str, ...] | None = None, progress: Progress = silent) -> Audit:
    """Read every image of `dataset` and report statistics and findings, in the splits of the data.

    Images that cannot be converted to `channels`, by default those of most of the data, are left out like unreadable
    ones.
    """
    index = index_images(dataset, channels=channels, progress=progress)
    return Audit(dataset, index, index.splits_of(dataset))


def _rows(rows: Iterable[object]) -> list[Any]:
    return [to_json(row) for row in rows]
