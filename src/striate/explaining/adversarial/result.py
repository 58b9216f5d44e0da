"""Results of an attack: the images before and after, their distance, and the network's answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Float32, Float64, Int32, Int64

from striate.core.spec import InputSpec
from striate.explaining._repr import ShortRepr
from striate.explaining.adversarial.goal import Goal
from striate.explaining.adversarial.pixels import Pixels, levels_per_unit


@dataclass(frozen=True, eq=False, repr=False)
class Answers(ShortRepr):
    """The answers of a network to images, as logits (n k)."""

    logits: Float32[np.ndarray, "n k"]

    @property
    def classes(self) -> Int64[np.ndarray, " n"]:
        return self.logits.argmax(1)

    def probabilities(self, temperature: float = 1.0) -> Float64[np.ndarray, "n k"]:
        """Return softmax(logits / temperature), as the classifier with this temperature does."""
        exponents = self.logits.astype(np.float64) / temperature
        powers = np.exp(exponents - exponents.max(1, keepdims=True))
        return powers / powers.sum(1, keepdims=True)

    def confidences(self, temperature: float = 1.0) -> Float64[np.ndarray, " n"]:
        """Return the probability of the predicted class."""
        return self.probabilities(temperature).max(1)


@dataclass(frozen=True, eq=False, repr=False)
class Adversarial(ShortRepr):
    """Images changed to be taken for something else.

    `original`, `adversarial` (n h w c): whole pixels, on the network's input grid or, through preparation, those of the
    photo; an image that already met the goal is unchanged, and for one that is not fooled the last attempt is kept.
    `classes` (n): the class that the attack leaves or seeks. `already` (n): the goal was reached before any change.
    `fooled` (n): it was not, and is reached by the changed and rounded image, after the exact input path. `found`:
    further values of the attack for each image, by name (n).
    """

    attack: str
    settings: Mapping[str, Any]
    goal: Goal
    spec: InputSpec
    original: Pixels
    adversarial: Pixels
    classes: Int64[np.ndarray, " n"]
    before: Answers
    after: Answers
    already: Bool[np.ndarray, " n"]
    fooled: Bool[np.ndarray, " n"]
    found: Mapping[str, Float[np.ndarray, " n"]]

    @cached_property
    def change(self) -> Int32[np.ndarray, "n h w c"]:
        """The change of each value, in stored levels."""
        return self.adversarial.astype(np.int32) - self.original.astype(np.int32)

    @property
    def linf(self) -> Float64[np.ndarray, " n"]:
        """The largest change of any value, in pixel units of 0–255."""
        return np.abs(self.change).max((1, 2, 3)) / levels_per_unit(self.spec)

    @property
    def l2(self) -> Float64[np.ndarray, " n"]:
        """The root of the sum of the squares of all changes, in pixel units of 0–255."""
        return np.sqrt(np.square(self.change, dtype=np.float64).sum((1, 2, 3))) / levels_per_unit(self.spec)


@dataclass(frozen=True, eq=False, repr=False)
class FoolingImages(ShortRepr):
    """Images made from nothing that a network classifies with confidence.

    `images` (m h w c): whole pixels on its input grid, one for each of `classes` (m). `history` (steps + 1, m): the
    probability of each image's class during the search; the last row is that of `images`.
    """

    method: str
    settings: Mapping[str, Any]
    spec: InputSpec
    classes: Int64[np.ndarray, " m"]
    images: Pixels
    answers: Answers
    history: Float64[np.ndarray, "steps m"]

    def confidences(self, temperature: float = 1.0) -> Float64[np.ndarray, " m"]:
        """Return the probability of the class that each image was made for."""
        return self.answers.probabilities(temperature)[np.arange(len(self.classes)), self.classes]
