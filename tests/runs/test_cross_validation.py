"""Cross-validation on features, beside scikit-learn, and what follows from it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from striate.classifier.nearest import normalised
from striate.metrics.roc import roc_auc
from striate.metrics.suspects import label_suspects, self_confidence
from striate.runs.cross_validation import OutOfFold, learning_curve, make_reference, out_of_fold

CLASSES = 3


def fit(features: np.ndarray, targets: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    if len(np.unique(targets)) < CLASSES:
        return lambda others: np.zeros((len(others), CLASSES))
    model = LogisticRegression(max_iter=300).fit(features, targets)
    return lambda others: model.predict_log_proba(others)


@pytest.fixture(scope="module")
def blobs() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Three classes of features on the sphere, not quite apart, and five folds."""
    rng = np.random.default_rng(0)
    targets = np.arange(240) % CLASSES
    features = np.eye(CLASSES, 16)[targets] * 3 + rng.normal(size=(240, 16))
    return features, targets, rng.permutation(240) % 5


@pytest.fixture(scope="module")
def outcome(blobs: tuple[np.ndarray, np.ndarray, np.ndarray]) -> OutOfFold:
    features, targets, folds = blobs
    return out_of_fold(features, targets, folds, fit)


def test_each_image_is_answered_by_the_classifier_of_the_other_folds(blobs, outcome: OutOfFold) -> None:
    features, targets, folds = blobs
    for fold in range(5):
        judge = LogisticRegression(max_iter=300).fit(features[folds != fold], targets[folds != fold])
        expected = judge.predict_log_proba(features[folds == fold])
        np.testing.assert_allclose(outcome.logits[folds == fold], expected, atol=1e-9)
    assert outcome.accuracy.correct == (outcome.logits.argmax(axis=1) == targets).sum()
    assert outcome.temperature.count == 240


def test_the_learning_curve_rises_to_the_cross_validated_accuracy(blobs, outcome: OutOfFold) -> None:
    features, targets, folds = blobs
    points = learning_curve(features, targets, folds, fit)
    assert [point.per_class for point in points] == [1, 2, 5, 10, 25, 50, 64]
    assert all(point.accuracy.count == 240 for point in points)
    assert points[0].accuracy.correct < points[-1].accuracy.correct
    counted: list[int] = []

    def counting(features: np.ndarray, targets: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
        counted.append(int(np.bincount(targets).max()))
        return fit(features, targets)

    assert learning_curve(features, targets, folds, counting) == points
    assert counted[:10] == [1] * 5 + [2] * 5
    assert all(count >= 60 for count in counted[-5:])


def test_a_reference_tells_what_is_like_no_class(blobs, outcome: OutOfFold) -> None:
    features, targets, folds = blobs
    reference = make_reference("fc", features, outcome, temperature=1.0)
    limits = reference.limits(features)
    assert all(limit.similarity == pytest.approx(1, abs=2e-3) for limit in limits)
    apart = normalised(features)
    similarity = apart @ apart.T
    similarity[folds[:, None] == folds] = -1
    np.testing.assert_allclose(reference.similarities, similarity.max(axis=1), atol=2e-3)
    unknown = np.eye(CLASSES + 1, 16)[np.full(100, CLASSES)] * 3 + np.random.default_rng(1).normal(size=(100, 16))
    found = reference.limits(unknown)
    scores = np.array([*reference.similarities, *(limit.similarity or 0 for limit in found)], np.float64)
    assert (roc_auc(scores, np.arange(len(scores)) < 240) or 0) > 0.9
    chances = np.exp(outcome.logits) / np.exp(outcome.logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(reference.scores, 1 - chances[np.arange(240), targets], atol=1e-6)


def test_planted_wrong_labels_come_first(blobs) -> None:
    features, targets, folds = blobs
    planted = np.random.default_rng(2).choice(240, 12, replace=False)
    wrong = targets.copy()
    wrong[planted] = (wrong[planted] + 1) % CLASSES
    logits = out_of_fold(features, wrong, folds, fit).logits
    order = np.argsort(self_confidence(logits, wrong))
    assert np.isin(planted, order[:24]).mean() >= 0.9
    suspects = label_suspects(logits, wrong)
    assert (logits[suspects].argmax(axis=1) != wrong[suspects]).all()
    assert len(suspects) == (logits.argmax(axis=1) != wrong).sum()
    confidence = self_confidence(logits, wrong)[suspects]
    assert (np.diff(confidence) >= 0).all()
