"""Two classifiers on the same images: the difference of their accuracies, and whether chance explains it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool

from striate.core.proportion import NORMAL_975


@dataclass(frozen=True)
class Paired:
    """`first` images are answered correctly by the first classifier alone, `second` by the second alone, of `count`."""

    first: int
    second: int
    count: int

    @classmethod
    def of(cls, first: Bool[np.ndarray, " n"], second: Bool[np.ndarray, " n"]) -> Paired:
        """Count from masks of the correct answers to the same images."""
        return cls(int((first & ~second).sum()), int((second & ~first).sum()), len(first))

    @property
    def difference(self) -> float:
        """Accuracy of the second minus that of the first."""
        return (self.second - self.first) / self.count

    @property
    def interval(self) -> tuple[float, float]:
        """95 % interval of the difference.

        Agresti and Min 2005, "Simple improved confidence intervals for comparing matched proportions", Statistics in
        Medicine 24: Wald's interval after half an image is added to each of the four cells.
        """
        first, second, count = self.first + 0.5, self.second + 0.5, self.count + 2
        middle = (second - first) / count
        half = NORMAL_975 * math.sqrt(first + second - (second - first) ** 2 / count) / count
        return max(-1.0, middle - half), min(1.0, middle + half)

    @property
    def p(self) -> float:
        """Probability of a difference at least as large if both were equally accurate.

        The exact test of McNemar 1947: each image that one alone answers correctly is a coin toss.
        """
        tosses, fewer = self.first + self.second, min(self.first, self.second)
        logs = (_log_choose(tosses, k) - tosses * math.log(2) for k in range(fewer + 1))
        return min(1.0, 2 * math.fsum(map(math.exp, logs)))


def _log_choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)


def holm(values: Sequence[float]) -> list[float]:
    """Return p-values adjusted for their number (Holm 1979): any of them is at most α by chance in α of all studies."""
    adjusted, largest = [0.0] * len(values), 0.0
    for rank, place in enumerate(sorted(range(len(values)), key=values.__getitem__)):
        largest = max(largest, min(1.0, (len(values) - rank) * values[place]))
        adjusted[place] = largest
    return adjusted
