"""Pictures made for units and classes, as many as a given time allows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import UInt8

from striate.classifier import Classifier
from striate.core.progress import Progress
from striate.explaining.checks.budget import Budget
from striate.explaining.visualize import Objective, channel, class_logit, maximize
from striate.plot import coloured
from striate.reporting.sheets.rgb import in_eight_bits

Rgb = UInt8[np.ndarray, "_ _ 3"]
Key = tuple[str, int]

CLASSES = ""
"""In place of a place: the number is that of a class."""


def make_wanted(classifier: Classifier, wishes: Sequence[Key], time: str, progress: Progress) -> Mapping[Key, Rgb]:
    """For each (place, channel), or (`CLASSES`, number), the picture that excites it most, while the time lasts."""
    made: dict[Key, Rgb] = {}
    for key in Budget(time).spend(wishes):
        found = maximize(classifier.model, _objective(key), classifier.input)
        values = np.moveaxis(found.images[0], -1, 0)
        made[key] = coloured(in_eight_bits(values, found.channels))
        progress("making what units want", len(made), len(wishes))
    return made


def _objective(key: Key) -> Objective:
    place, number = key
    return class_logit(number) if place == CLASSES else channel(place, number)
