"""Average precision beside scikit-learn."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from striate.metrics.average_precision import average_precision


@pytest.mark.parametrize("levels", [3, 1000])
def test_it_is_that_of_scikit_learn_with_and_without_ties(levels: int) -> None:
    rng = np.random.default_rng(levels)
    for count in (1, 7, 200):
        scores = rng.integers(0, levels, count) / levels
        relevant = rng.random(count) < 0.3
        relevant[rng.integers(count)] = True
        assert average_precision(scores, relevant) == pytest.approx(average_precision_score(relevant, scores))


def test_scores_that_are_not_numbers_rank_last_all_alike() -> None:
    scores, relevant = np.array([np.nan, np.nan, 0.5, np.nan]), np.array([True, False, True, False])
    replaced = np.nan_to_num(scores, nan=-1.0)
    assert average_precision(scores, relevant) == pytest.approx(average_precision_score(relevant, replaced))


def test_it_is_1_where_the_relevant_come_first_and_unknown_where_nothing_is() -> None:
    assert average_precision(np.array([0.9, 0.1, 0.5]), np.array([True, False, True])) == 1
    assert math.isnan(average_precision(np.array([0.9, 0.1]), np.array([False, False])))
    assert math.isnan(average_precision(np.array([]), np.array([], bool)))
