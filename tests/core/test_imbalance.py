"""When classes are imbalanced, and by how much an effective number falls short of the number of images."""

from __future__ import annotations

import numpy as np
import pytest

from striate.core.imbalance import effective_numbers, imbalance, is_imbalanced, moderate_beta


@pytest.mark.parametrize(
    ("counts", "ratio", "named"),
    [([8, 24], 3.0, True), ([9, 26], 26 / 9, False), ([0, 5, 5], 1.0, False), ([0, 0], 1.0, False), ([7], 1.0, False)],
    ids=str,
)
def test_classes_are_imbalanced_from_a_ratio_of_3_on_among_those_with_images(
    counts: list[int], ratio: float, named: bool
) -> None:
    assert imbalance(np.array(counts)) == ratio
    assert is_imbalanced(np.array(counts)) is named


def test_the_effective_number_is_the_expected_volume_of_the_paper() -> None:
    for beta in (0.0, 0.5, 0.99):  # its derivation: E_n = 1 + beta E_(n-1)
        expected = 0.0
        for count in range(1, 30):
            expected = 1 + beta * expected
            assert effective_numbers(np.array([count]), beta)[0] == pytest.approx(expected, rel=1e-12)
    assert effective_numbers(np.array([3, 70]), 1.0).tolist() == [3, 70]


@pytest.mark.parametrize("counts", [[1000, 100], [5000, 50], [40, 10]], ids=str)
def test_the_suggested_weights_lie_between_none_and_the_inverse_of_the_frequency(counts: list[int]) -> None:
    many, few = effective_numbers(np.array(counts), moderate_beta(np.array(counts)))
    assert (counts[0] / counts[1]) ** 0.4 < many / few < (counts[0] / counts[1]) ** 0.75
