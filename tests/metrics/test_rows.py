"""Rows lead from a number back to the samples that it counts."""

from __future__ import annotations

import numpy as np
import pytest

from striate.metrics import Rows, score_classification

RANDOM = np.random.default_rng(0)
LOGITS, TARGETS = RANDOM.normal(size=(80, 4)), RANDOM.integers(0, 4, 80)
INDEX = RANDOM.permutation(1000)[:80]
ROWS = Rows.of(LOGITS, TARGETS, INDEX)


def test_every_cell_of_the_confusion_matrix_leads_to_its_samples() -> None:
    matrix = score_classification(LOGITS, TARGETS, list("abcd")).confusion
    seen = []
    for given in range(4):
        for predicted in range(4):
            cell = ROWS.cell(given, predicted)
            assert len(cell.index) == matrix[given][predicted]
            seen += cell.index.tolist()
    assert sorted(seen) == sorted(INDEX.tolist())


def test_the_worst_are_wrong_and_the_surest_right_in_order_of_confidence() -> None:
    worst, surest = ROWS.worst(5), ROWS.surest(5)
    assert not worst.right.any()
    assert surest.right.all()
    assert (np.diff(worst.confidence) <= 0).all()
    assert worst.confidence[0] == ROWS.confidence[~ROWS.right].max()
    assert surest.confidence[0] == ROWS.confidence[ROWS.right].max()


def test_equal_confidences_are_ordered_by_index() -> None:
    rows = Rows.of(np.tile([2.0, 0.0], (4, 1)), np.zeros(4, dtype=np.int64), np.array([7, 3, 9, 1]))
    assert rows.surest(3).index.tolist() == [1, 3, 7]
    assert len(rows.worst(3).index) == 0


def test_confidence_is_the_top_probability_at_the_temperature() -> None:
    rows = Rows.of(np.array([[2.0, 0.0]]), np.array([0]), np.array([0]), temperature=2.0)
    assert rows.confidence[0] == pytest.approx(1 / (1 + np.exp(-1)))
