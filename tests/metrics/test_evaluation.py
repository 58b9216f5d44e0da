"""Scores against hand-worked numbers, scikit-learn, and what a split does not determine."""

from __future__ import annotations

import json
from decimal import Decimal, localcontext
from typing import Any

import numpy as np
import pytest
import sklearn.metrics as judges
from hypothesis import given, settings
from hypothesis import strategies as st

from reference.scores import area_under_roc, expected_calibration_error
from striate.core.errors import DataError, RunError, TrainingError
from striate.metrics import METRICS, ClassificationScores, score_classification
from striate.metrics.calibration import calibration
from striate.metrics.roc import one_vs_rest_aucs, roc_auc


def _answers(pairs: list[tuple[int, int]], classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Logits that give the wanted (true, predicted) pairs."""
    targets = np.array([true for true, _ in pairs])
    return np.eye(classes)[[predicted for _, predicted in pairs]], targets


def test_scores_of_a_small_case_worked_by_hand() -> None:
    # cat: 3 of 4 found, one taken for dog; dog: 1 of 2 found, one taken for cat.
    pairs = [(0, 0), (0, 0), (0, 0), (0, 1), (1, 1), (1, 0)]
    scores = score_classification(*_answers(pairs, 2), ["cat", "dog"])
    cat, dog = scores.per_class
    assert scores.confusion == ((3, 1), (1, 1))
    assert (scores.top1.correct, scores.count) == (4, 6)
    assert (cat.support, cat.predicted, cat.correct) == (4, 4, 3)
    assert (cat.precision, cat.recall, cat.f1) == (3 / 4, 3 / 4, 3 / 4)
    assert (dog.precision, dog.recall, dog.f1) == (1 / 2, 1 / 2, 1 / 2)
    assert scores.balanced_accuracy == (3 / 4 + 1 / 2) / 2
    assert scores.macro_f1 == (3 / 4 + 1 / 2) / 2
    assert scores.top5 is None
    assert [(p.given, p.predicted, p.count, p.support) for p in scores.most_confused(5)] == [
        ("cat", "dog", 1, 4),
        ("dog", "cat", 1, 2),
    ]


def test_scores_in_which_classes_count_alike_come_first_where_the_split_is_imbalanced() -> None:
    pairs = [(0, 0)] * 6 + [(1, 0), (1, 1)]
    uneven, even = (score_classification(*_answers(given, 2), ["cat", "dog"]) for given in (pairs, pairs[3:]))
    assert str(uneven).startswith("balanced accuracy 75.0%, macro F1 ")
    assert uneven.to_json()["headline"] == "balanced_accuracy"
    assert str(even) == str(even.top1)
    assert even.to_json()["headline"] == "accuracy"


def test_per_class_scores_equal_scikit_learn() -> None:
    random = np.random.default_rng(5)
    targets = random.integers(0, 12, 500)
    logits = random.normal(size=(500, 12)) + 2.0 * np.eye(12)[targets]
    scores = score_classification(logits, targets, [f"class {k}" for k in range(12)])
    reference: Any = judges.precision_recall_fscore_support(targets, logits.argmax(1))
    precision, recall, f1, support = reference
    assert [score.precision for score in scores.per_class] == pytest.approx(list(precision))
    assert [score.recall for score in scores.per_class] == pytest.approx(list(recall))
    assert [score.f1 for score in scores.per_class] == pytest.approx(list(f1))
    assert [score.support for score in scores.per_class] == support.tolist()
    assert np.array_equal(scores.confusion, judges.confusion_matrix(targets, logits.argmax(1)))


def test_the_score_of_a_missing_class_is_unknown_rather_than_zero() -> None:
    # "owl" is not in the split, but once predicted; "yak" is neither; "dog" is there and never predicted.
    pairs = [(0, 0), (0, 2), (1, 0), (0, 0)]
    scores = score_classification(*_answers(pairs, 4), ["cat", "dog", "owl", "yak"])
    _, dog, owl, yak = scores.per_class
    assert scores.missing == ("owl", "yak")
    assert (owl.precision, owl.recall, owl.f1, owl.auc) == (0.0, None, None, None)
    assert (yak.precision, yak.recall, yak.f1, yak.auc) == (None, None, None, None)
    assert (dog.precision, dog.recall, dog.f1) == (None, 0.0, 0.0)
    assert scores.balanced_accuracy == (2 / 3 + 0) / 2


def test_one_class_alone_has_no_auc() -> None:
    scores = score_classification(*_answers([(1, 1), (1, 0)], 2), ["a", "b"])
    assert scores.auc is None
    assert scores.balanced_accuracy == 0.5


def test_a_class_without_others_has_no_auc() -> None:
    assert one_vs_rest_aucs(np.zeros((3, 1)), np.zeros(3, dtype=np.int64)) == (None,)


def test_of_equal_logits_the_first_class_is_the_answer_in_top_1_and_top_5() -> None:
    scores = score_classification(np.zeros((6, 6)), np.arange(6), list("abcdef"))
    assert scores.top1.correct == 1
    assert scores.top5 is not None
    assert scores.top5.correct == 5


def test_a_network_that_diverged_is_right_about_nothing() -> None:
    assert METRICS["label_accuracy"].score(np.full((4, 3), np.nan), np.eye(4, 3)) == 0
    logits = np.zeros((3, 7))
    logits[0, 1], logits[1] = np.nan, np.nan  # the own logit of the first sample, all of the second, none of the third
    targets = np.array([1, 0, 0])
    assert METRICS["accuracy"].score(logits, targets) == METRICS["top5"].score(logits, targets) == 1 / 3


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4), st.booleans()), min_size=2, max_size=30))
def test_auc_counts_ties_one_half(rows: list[tuple[int, bool]]) -> None:
    scores = np.array([float(score) for score, _ in rows])
    positive = np.array([is_positive for _, is_positive in rows])
    if positive.all() or not positive.any():
        assert roc_auc(scores, positive) is None
    else:
        assert roc_auc(scores, positive) == pytest.approx(area_under_roc(scores.tolist(), positive.tolist()))
        assert roc_auc(scores, positive) == pytest.approx(judges.roc_auc_score(positive, scores))


def test_auc_sees_differences_that_probabilities_round_away() -> None:
    logits = np.array([[800.0, 0.0], [900.0, 0.0], [801.0, 0.0], [901.0, 0.0]])
    targets = np.array([1, 0, 1, 0])
    assert score_classification(logits, targets, ["a", "b"]).per_class[1].auc == 1.0


def test_auc_sees_differences_that_confident_probabilities_round_away() -> None:
    """Logits of 60 and 40 above the other: both probabilities round to 1, and the first is the higher one."""
    assert one_vs_rest_aucs(np.array([[60.0, 0.0], [40.0, 0.0]]), np.array([0, 1])) == (1.0, 1.0)


def test_answers_that_differ_in_the_order_of_the_other_classes_are_ties() -> None:
    logits = np.array([[1.0, 1.0, -1.0, 3.0, 1.0, 3.0], [1.0, 1.0, 3.0, -1.0, 3.0, 1.0]])
    assert one_vs_rest_aucs(logits, np.array([0, 1]))[0] == 0.5


@settings(deadline=None)
@given(st.lists(st.lists(st.integers(-12, 12), min_size=3, max_size=3), min_size=2, max_size=12))
def test_auc_is_that_of_exact_odds(rows: list[list[int]]) -> None:
    """The odds of a class, its exponential over the sum of the others, to fifty digits."""
    logits, targets = np.array(rows, dtype=np.float64), np.arange(len(rows)) % 3
    with localcontext(prec=100):
        powers = [[Decimal(logit).exp() for logit in row] for row in rows]
        odds = [[round(row[k] / sum([*row[:k], *row[k + 1 :]]), 50) for k in range(3)] for row in powers]
        for k, auc in enumerate(one_vs_rest_aucs(logits, targets)):
            order = sorted({row[k] for row in odds})
            ranks = np.array([float(order.index(row[k])) for row in odds])
            assert auc == roc_auc(ranks, targets == k)


def test_calibration_bins_hold_every_sample_once_and_give_the_error() -> None:
    random = np.random.default_rng(3)
    logits, targets = random.normal(size=(300, 4)) * 3, random.integers(0, 4, 300)
    scores = score_classification(logits, targets, list("abcd"), temperature=2.5)
    assert scores.calibrated is not None
    for measured, temperature in ((scores.as_trained, 1.0), (scores.calibrated, 2.5)):
        assert sum(b.right.count for b in measured.bins) == 300
        assert sum(b.right.correct for b in measured.bins) == scores.top1.correct
        reference = expected_calibration_error(logits.tolist(), targets.tolist(), 15, temperature)
        assert measured.ece == pytest.approx(reference)
        assert all(b.confidence is None or b.low < b.confidence <= b.high + 1e-12 for b in measured.bins)


def test_calibration_worked_by_hand() -> None:
    # Four answers given with 0.8; three right: the bin is off by 0.05.
    logits = np.log(np.tile([0.8, 0.2], (4, 1)))
    scores = score_classification(logits, np.array([0, 0, 0, 1]), ["a", "b"])
    assert scores.as_trained.ece == pytest.approx(0.05)
    assert scores.loss == pytest.approx(-(3 * np.log(0.8) + np.log(0.2)) / 4)


def test_a_confidence_on_an_edge_belongs_to_the_bin_below_it() -> None:
    half_and_all = np.array([[0.0, 0.0], [0.0, -1000.0]])
    bins = calibration(half_and_all, np.array([0, 0]), bins=2).bins
    assert [(b.confidence, b.right.count) for b in bins] == [(0.5, 1), (1.0, 1)]


def test_survives_json() -> None:
    random = np.random.default_rng(4)
    logits, targets = random.normal(size=(60, 7)), random.integers(0, 6, 60)
    for temperature in (None, 1.7):
        scores = score_classification(logits, targets, ["a", "b", "c", "d", "e", "f", "ß"], temperature=temperature)
        assert ClassificationScores.from_json(json.loads(json.dumps(scores.to_json(), allow_nan=False))) == scores


@pytest.mark.parametrize(
    ("damage", "words"),
    [({"format": 99}, "format 99"), ({"top1": None}, "cannot be read"), ({"per_class": [{}]}, "'name' is missing")],
)
def test_a_damaged_evaluation_is_one_sentence(damage: dict[str, object], words: str) -> None:
    value = score_classification(*_answers([(0, 0), (1, 1)], 2), ["a", "b"]).to_json()
    with pytest.raises(RunError, match=words):
        ClassificationScores.from_json(value | damage)


def test_nothing_to_judge_is_an_error() -> None:
    with pytest.raises(DataError, match="split has no image"):
        score_classification(np.zeros((0, 2)), np.zeros(0, dtype=np.int64), ["a", "b"])


def test_logits_that_are_no_numbers_are_an_error() -> None:
    with pytest.raises(TrainingError, match="for 1 of 2 images"):
        score_classification(np.array([[1.0, np.nan], [1.0, 0.0]]), np.array([0, 1]), ["a", "b"])


def test_a_target_outside_the_classes_is_a_defect() -> None:
    with pytest.raises(ValueError, match=r"lie in 0 … 1, not 0 … 2"):
        score_classification(np.zeros((2, 2)), np.array([0, 2]), ["a", "b"])
