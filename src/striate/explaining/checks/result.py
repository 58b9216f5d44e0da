"""Results of a check: numbers, each with the values that chance gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float


@dataclass(frozen=True)
class WithChance:
    """A number, and the values that chance gave for it."""

    value: float
    chance: tuple[float, ...]

    @property
    def verdict(self) -> Literal["above", "within", "below"]:
        """Whether the number lies above all chance values, below all of them, or within."""
        if self.value > max(self.chance):
            return "above"
        return "below" if self.value < min(self.chance) else "within"

    @property
    def ends(self) -> tuple[float, float]:
        """The smallest and the largest chance value."""
        return min(self.chance), max(self.chance)

    def share_better(self, sign: int) -> float:
        """Return the fraction of chance values that the number beats, where more (`sign` 1) or less (-1) is better."""
        return float(np.mean([sign * self.value > sign * each for each in self.chance]))

    def standardized(self, count: int) -> Float[np.ndarray, " m"]:
        """Return the number and the first `count` chance values, by the mean and spread of the chance."""
        numbers = np.array([self.value, *self.chance[:count]])
        chance = numbers[1:]
        spread = chance.std()
        return (numbers - chance.mean()) / (spread if spread > 0 else 1.0)


@dataclass(frozen=True)
class RandomisationTest:
    """Comparison of the map with those of networks whose weights are all random (Adebayo et al. 2018).

    `rank` and `structure`: how similar the map is to them, by the absolute rank correlation and by SSIM; chance is the
    similarity among them, pair by pair. `edges`: the rank correlation of the sizes of its values with the edges in the
    image, and `noise_edges` that of the random networks' maps; chance is the same edges in other places.
    """

    rank: WithChance
    structure: WithChance
    edges: WithChance
    noise_edges: WithChance


@dataclass(frozen=True)
class Depth:
    """Similarity of the map to that of the network whose `layers` topmost layers are random."""

    layers: int
    rank: float
    structure: float


@dataclass(frozen=True)
class Deletions:
    """Areas under the score as the pixels that the map marks are deleted (low if it is right) and inserted (high).

    Chance is the map in other, random places.
    """

    deletion: WithChance
    insertion: WithChance
