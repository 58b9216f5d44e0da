"""The network of a run, asked as a network of the user's own is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from striate.classifier import Classifier
from striate.reporting.sheets.input_image import Subject, look_at, subject_of
from striate.reporting.sheets.own_model import picture_of


@dataclass(frozen=True, eq=False)
class RunNetwork:
    """A classifier, which knows how images are prepared and what its classes are called."""

    classifier: Classifier
    notes: tuple[str, ...] = ()

    @property
    def model(self) -> nn.Module:
        return self.classifier.model

    def look(self, image: Any, name: str) -> Subject:
        """An image of any kind, prepared, and the answer.

        Raises:
            DataError: it is no image.
            Unreadable: the file cannot be read.
        """
        if isinstance(image, (str, Path)):
            return look_at(self.classifier, Path(image))
        return subject_of(self.classifier, picture_of(image, self.classifier.input), name)

    def classes(self, count: int) -> tuple[str, ...]:
        """The names of the `count` outputs."""
        return self.classifier.labels.classes
