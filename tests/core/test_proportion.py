"""Wilson's interval against published and independent numbers."""

from __future__ import annotations

import pytest
from scipy.stats import binomtest

from striate.core.proportion import Proportion, difference


@pytest.mark.parametrize(("correct", "count"), [(0, 1), (1, 1), (0, 10), (7, 10), (355, 360), (9900, 10_000)])
def test_equals_scipy(correct: int, count: int) -> None:
    reference = binomtest(correct, count).proportion_ci(method="wilson")
    assert Proportion(correct, count).interval == pytest.approx((reference.low, reference.high), abs=1e-12)


def test_equals_the_published_example() -> None:
    # Newcombe, "Two-sided confidence intervals for the single proportion", Statistics in Medicine 17 (1998), table I.
    assert Proportion(81, 263).interval == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert Proportion(0, 20).interval == pytest.approx((0.0, 0.1611), abs=5e-5)


def test_nothing_has_no_share_and_no_interval() -> None:
    assert Proportion(0, 0).value is None
    assert Proportion(0, 0).interval is None


def test_more_right_than_there_are_is_a_defect() -> None:
    with pytest.raises(ValueError, match="0 to 2 of 2, not 3"):
        Proportion(3, 2)


@pytest.mark.parametrize(
    ("first", "second", "low", "high"),
    [  # Newcombe 1998, table II, method 10
        ((56, 70), (48, 80), 0.0524, 0.3339),
        ((9, 10), (3, 10), 0.1705, 0.8090),
        ((6, 7), (2, 7), 0.0582, 0.8062),
        ((5, 56), (0, 29), -0.0381, 0.1926),
        ((10, 10), (0, 20), 0.6791, 1.0),
    ],
)
def test_the_difference_of_two_shares_is_that_of_newcombes_table(
    first: tuple[int, int], second: tuple[int, int], low: float, high: float
) -> None:
    assert difference(Proportion(*first), Proportion(*second)) == pytest.approx((low, high), abs=5e-5)


def test_nothing_has_no_difference() -> None:
    assert difference(Proportion(0, 0), Proportion(1, 2)) is None
