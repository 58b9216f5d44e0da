"""Scores and thresholds of multi-label classification, against loops over samples, classes and thresholds."""

from __future__ import annotations

import importlib
import json
import math
from itertools import chain

import numpy as np
import pytest

from striate.core.errors import DataError, RunError, TrainingError
from striate.metrics import METRICS, MultilabelRows, MultilabelScores
from striate.metrics.multilabel import f1_threshold, fit_thresholds, score_multilabel

NAMES = ("cat", "dog", "bird")


def _made(count: int = 40) -> tuple[np.ndarray, np.ndarray]:
    draws = np.random.default_rng(5)
    targets = (draws.random((count, 3)) < [0.5, 0.2, 0.1]).astype(np.float32)
    outputs = (draws.normal(size=(count, 3)) + 2 * targets - 1).round(1).astype(np.float32)  # rounded: some are equal
    return outputs, targets


def _f1(answered: list[bool], present: list[bool]) -> float:
    right = sum(a and p for a, p in zip(answered, present, strict=True))
    return 2 * right / (sum(answered) + sum(present))


@pytest.mark.parametrize("seed", range(8))
def test_a_threshold_has_the_highest_f1_of_all(seed: int) -> None:
    draws = np.random.default_rng(seed)
    probabilities, present = draws.random(25).round(1), draws.random(25) < 0.3
    present[0] = True
    threshold = f1_threshold(probabilities, present)
    best = max(_f1((probabilities >= cut).tolist(), present.tolist()) for cut in np.linspace(0, 1, 401))
    assert _f1((probabilities >= threshold).tolist(), present.tolist()) == best


def test_a_threshold_lies_in_the_middle_and_near_a_half() -> None:
    assert f1_threshold(np.array([0.9, 0.7, 0.2]), np.array([True, True, False])) == pytest.approx(0.45)
    assert f1_threshold(np.array([0.9, 0.7]), np.array([False, False])) == 0.5
    # One of two and two of four have the same F1 of 2/3: the cut at 0.4 is closer to a half than that at 0.85.
    tie = f1_threshold(np.array([0.9, 0.8, 0.79, 0.45, 0.35]), np.array([True, False, False, True, False]))
    assert tie == pytest.approx(0.4)


def test_a_threshold_of_few_samples_is_drawn_towards_a_half() -> None:
    """The log odds of the threshold of highest F1, of 2 samples with the class and of 100, times n / (n + 5)."""
    probabilities = np.full(60, 1e-5)
    probabilities[:2] = 2e-4 - 1e-5, 0.3
    targets = np.zeros((60, 1), np.float32)
    targets[:2] = 1
    outputs = (np.log(probabilities) - np.log1p(-probabilities))[:, None]
    assert f1_threshold(probabilities, targets[:, 0] > 0) == pytest.approx(1e-4)
    (found,) = fit_thresholds(outputs, targets)["thresholds"]
    assert math.log(found / (1 - found)) == pytest.approx(math.log(1e-4 / (1 - 1e-4)) * 2 / 7)
    many = fit_thresholds(np.tile(outputs, (50, 1)), np.tile(targets, (50, 1)))["thresholds"][0]
    assert math.log(many / (1 - many)) == pytest.approx(math.log(1e-4 / (1 - 1e-4)) * 100 / 105)


def test_a_class_that_is_not_recognised_has_the_threshold_of_a_half() -> None:
    stats = importlib.import_module("scipy.stats")
    draws, decided = np.random.default_rng(1), set()
    for _ in range(200):
        present = np.append(draws.random(28) < 0.3, [True, False])
        outputs = draws.normal(size=30) + 0.5 * present - 3
        kept = fit_thresholds(outputs[:, None], present[:, None].astype(np.float32))["thresholds"][0] == 0.5
        options = {"alternative": "greater", "method": "asymptotic", "use_continuity": False}
        chance = stats.mannwhitneyu(outputs[present], outputs[~present], **options).pvalue
        assert kept == (chance > 0.05)
        decided.add(kept)
    assert decided == {True, False}


def test_the_worst_decisions_are_the_surest_wrong_ones() -> None:
    probabilities = np.array([[0.9, 0.2], [0.6, 0.05], [0.3, 0.7]])
    present = np.array([[False, True], [True, True], [False, False]])
    rows = MultilabelRows(np.arange(3), present, probabilities, np.array([0.5, 0.5]))
    assert [(row, k, round(sure, 6)) for row, k, sure in rows.worst(9)] == [
        (1, 1, 0.95), (0, 0, 0.9), (0, 1, 0.8), (2, 1, 0.7),
    ]  # fmt: skip
    assert rows.take(np.array([2, 0])).worst(1) == [(1, 0, 0.9)]


def test_scores_equal_loops() -> None:
    outputs, targets = _made()
    limits = (0.6, 0.3, 0.5)
    scores = score_multilabel(outputs, targets, NAMES, thresholds=limits)
    sure = 1 / (1 + np.exp(-outputs.astype(float)))
    answered = [[sure[i][k] >= limits[k] for k in range(3)] for i in range(40)]
    present = [[targets[i][k] == 1 for k in range(3)] for i in range(40)]
    columns = [([row[k] for row in answered], [row[k] for row in present]) for k in range(3)]
    assert [score.f1 for score in scores.per_class] == pytest.approx([_f1(*column) for column in columns])
    assert scores.macro_f1 == pytest.approx(sum(_f1(*column) for column in columns) / 3)
    assert scores.micro_f1 == pytest.approx(_f1([*chain(*answered)], [*chain(*present)]))
    assert scores.exact.correct == sum(a == p for a, p in zip(answered, present, strict=True))
    loss = 0.0
    for i in range(40):
        for k in range(3):
            loss -= math.log(sure[i][k] if present[i][k] else 1 - sure[i][k]) / 40
    assert scores.loss == METRICS["label_loss"].score(outputs, targets) == pytest.approx(loss)
    assert METRICS["mean_average_precision"].score(outputs, targets) == scores.mean_average_precision
    assert METRICS["label_accuracy"].score(outputs, targets) == pytest.approx(((outputs >= 0) == targets).mean())


def test_a_class_without_samples_is_left_out_of_the_means() -> None:
    outputs, targets = _made()
    targets[:, 2] = 0
    scores = score_multilabel(outputs, targets, NAMES)
    assert scores.per_class[2].average_precision is scores.per_class[2].f1 is None
    two = score_multilabel(outputs[:, :2], targets[:, :2], NAMES[:2])
    assert (scores.macro_f1, scores.mean_average_precision) == (two.macro_f1, two.mean_average_precision)
    assert fit_thresholds(outputs, targets)["thresholds"][2] == 0.5


def test_evaluations_and_rows_are_read_as_they_were_written() -> None:
    outputs, targets = _made()
    scores = score_multilabel(outputs, targets, NAMES, thresholds=(0.4,))
    assert MultilabelScores.from_json(json.loads(json.dumps(scores.to_json()))) == scores
    rows = MultilabelRows.of(outputs, targets, np.arange(40), thresholds=(0.2, 0.4, 0.6))
    read = MultilabelRows.read(rows.index, rows.columns(NAMES), NAMES)
    for part in ("present", "probabilities", "thresholds"):
        np.testing.assert_array_equal(getattr(read, part), getattr(rows, part))
    assert rows.columns(NAMES)["labels"][int(targets.sum(1).argmax())].count(";") == targets.sum(1).max() - 1


def test_what_cannot_be_evaluated_is_a_sentence() -> None:
    outputs, targets = _made()
    with pytest.raises(DataError, match="the split has no image"):
        score_multilabel(outputs[:0], targets[:0], NAMES)
    outputs[3, 1] = np.nan
    with pytest.raises(TrainingError, match="1 of 40 images are not finite"):
        score_multilabel(outputs, targets, NAMES)
    with pytest.raises(RunError, match="Evaluate the run again"):
        MultilabelScores.from_json({"format": 1})
