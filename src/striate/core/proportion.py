"""So many of so many, with the interval that the number of pictures allows."""

from __future__ import annotations

import math
from dataclasses import dataclass

NORMAL_975 = 1.959963984540054
"""The 97.5 % point of the normal distribution: two-sided 95 %."""


@dataclass(frozen=True)
class Proportion:
    """`correct` of `count`; its share and Wilson's 95 % interval are computed, never stored beside it."""

    correct: int
    count: int

    def __post_init__(self) -> None:
        if not 0 <= self.correct <= self.count:
            raise ValueError(f"a proportion is 0 to {self.count} of {self.count}, not {self.correct}")

    @property
    def value(self) -> float | None:
        """The share; None of nothing."""
        return self.correct / self.count if self.count else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """Wilson's score interval at 95 %, which stays inside 0 … 1 and is right for few and for extreme counts.

        E. B. Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22 (1927), without
        continuity correction. None of nothing.
        """
        if not self.count:
            return None
        share, weight = self.correct / self.count, NORMAL_975**2 / self.count
        centre = (share + weight / 2) / (1 + weight)
        half = math.sqrt(weight * share * (1 - share) + weight**2 / 4) / (1 + weight)
        # At 0 and at all of them one end is exact in algebra; rounding may not make it -1e-17.
        return (
            0.0 if self.correct == 0 else max(0.0, centre - half),
            1.0 if self.correct == self.count else min(1.0, centre + half),
        )
