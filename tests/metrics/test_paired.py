"""Two classifiers on the same images, against sums over all outcomes and published numbers."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from striate.metrics.paired import Paired, holm


@pytest.mark.parametrize(("first", "second"), [(0, 0), (0, 5), (3, 4), (7, 2), (4, 4)])
def test_p_counts_the_tosses_that_are_at_least_as_uneven(first: int, second: int) -> None:
    tosses = first + second
    heads = [sum(outcome) for outcome in product((0, 1), repeat=tosses)]
    uneven = sum(abs(2 * count - tosses) >= abs(first - second) for count in heads)
    assert Paired(first, second, 100).p == pytest.approx(uneven / len(heads), rel=1e-12)


def test_the_interval_is_that_of_agresti_and_min() -> None:
    """Half an image is added to each of the four cells, then Wald's interval."""
    paired = Paired(first=16, second=6, count=86)
    low, high = paired.interval
    middle, variance = (6.5 - 16.5) / 88, (23 - 10**2 / 88) / 88**2
    assert (low, high) == pytest.approx(
        (middle - 1.959964 * variance**0.5, middle + 1.959964 * variance**0.5), rel=1e-6
    )
    assert paired.difference == -10 / 86


def test_counts_are_of_images_that_one_alone_answers() -> None:
    first, second = np.array([1, 1, 0, 0, 1], bool), np.array([1, 0, 1, 0, 0], bool)
    assert Paired.of(first, second) == Paired(first=2, second=1, count=5)


def test_many_images_do_not_overflow() -> None:
    assert Paired(40_000, 41_000, 10**6).p == pytest.approx(4.5e-4, rel=0.05)  # 3.51 standard deviations


def test_p_values_are_adjusted_by_holm() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []
