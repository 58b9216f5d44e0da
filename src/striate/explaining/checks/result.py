"""What a check found: numbers, each beside what chance gives, and what was not done."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float

from striate.explaining.checks.areas import Areas


@dataclass(frozen=True)
class Beside:
    """A number and those that chance gave for the same thing."""

    value: float
    chance: tuple[float, ...]

    @property
    def verdict(self) -> Literal["above", "within", "below"]:
        """Where the number lies: above all of chance's, below all of them, or between."""
        if self.value > max(self.chance):
            return "above"
        return "below" if self.value < min(self.chance) else "within"

    @property
    def ends(self) -> tuple[float, float]:
        """The least and the most that chance gave."""
        return min(self.chance), max(self.chance)

    def share_better(self, sign: int) -> float:
        """The share of chance's numbers that the value is better than, where more (`sign` 1) or less (-1) is better."""
        return float(np.mean([sign * self.value > sign * each for each in self.chance]))

    def standardized(self, count: int) -> Float[np.ndarray, " m"]:
        """The value and the first `count` of chance's, less the mean of these and divided by their spread."""
        numbers = np.array([self.value, *self.chance[:count]])
        spread = numbers[1:].std()
        return (numbers - numbers[1:].mean()) / (spread if spread > 0 else 1.0)


@dataclass(frozen=True)
class Noise:
    """How the map compares with those of networks whose weights are all random.

    `rank` and `structure`: how alike it is to them, by the size of the rank correlation and by SSIM; chance is how
    alike those are to one another, pair by pair. `edges`: the rank correlation of the sizes of its values with the
    edges in the image, and `noise_edges` that of theirs; chance is the same edges in other places.
    """

    rank: Beside
    structure: Beside
    edges: Beside
    noise_edges: Beside


@dataclass(frozen=True)
class Depth:
    """How alike the map is to the one of the network whose `layers` topmost layers are random."""

    layers: int
    rank: float
    structure: float


@dataclass(frozen=True)
class Classes:
    """How alike the map is to that of another class: of the class with the next highest score.

    `trained`: in the network itself. `random_head`: in a network whose topmost layer is random, where two classes are
    not opposites of each other, as the two of a network with two classes are. A map that is the same in both does not
    depend on the class.
    """

    trained: float
    random_head: float


@dataclass(frozen=True)
class Deletions:
    """Areas under the score as the pixels that the map calls important go (low if it is right) and come (high).

    Chance is the map in other, random places; `blob` in the middle of the image.
    """

    deletion: Beside
    insertion: Beside
    blob: Areas
