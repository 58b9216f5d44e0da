"""Proportions with 95 % confidence intervals."""

from __future__ import annotations

import math
from dataclasses import dataclass

NORMAL_975 = 1.959963984540054
"""The 97.5 % point of the normal distribution: two-sided 95 %."""


@dataclass(frozen=True)
class Proportion:
    """`correct` of `count`; the fraction and its 95 % Wilson interval are computed, never stored."""

    correct: int
    count: int

    def __post_init__(self) -> None:
        if not 0 <= self.correct <= self.count:
            raise ValueError(f"a proportion is 0 to {self.count} of {self.count}, not {self.correct}")

    @property
    def value(self) -> float | None:
        """The fraction; None if `count` is 0."""
        return self.correct / self.count if self.count else None

    def __str__(self) -> str:
        if self.interval is None:
            return "none of none"
        low, high = self.interval
        return (
            f"{100 * self.correct / self.count:.2f} % of {self.count:,} "
            f"(95 % interval {100 * low:.1f} % to {100 * high:.1f} %)"
        )

    @property
    def interval(self) -> tuple[float, float] | None:
        """Wilson's score interval at 95 %; None if `count` is 0.

        It stays within 0 … 1 and is valid for small and for extreme counts. E. B. Wilson, "Probable inference, the law
        of succession, and statistical inference", JASA 22 (1927), without continuity correction.
        """
        if not self.count:
            return None
        share, weight = self.correct / self.count, NORMAL_975**2 / self.count
        centre = (share + weight / 2) / (1 + weight)
        half = math.sqrt(weight * share * (1 - share) + weight**2 / 4) / (1 + weight)
        # For 0 and for all correct one end is exact in algebra; rounding must not make it -1e-17.
        return (
            0.0 if self.correct == 0 else max(0.0, centre - half),
            1.0 if self.correct == self.count else min(1.0, centre + half),
        )


def difference(first: Proportion, second: Proportion) -> tuple[float, float] | None:
    """Return a 95 % interval of the value of `first` minus that of `second`, from independent samples.

    Newcombe 1998, "Interval estimation for the difference between independent proportions", Statistics in Medicine 17,
    method 10: a combination of the two Wilson intervals. None if either count is 0.
    """
    if first.interval is None or second.interval is None:
        return None
    one, other = first.correct / first.count, second.correct / second.count
    (low, high), (its_low, its_high) = first.interval, second.interval
    return (
        one - other - math.hypot(one - low, its_high - other),
        one - other + math.hypot(high - one, other - its_low),
    )
