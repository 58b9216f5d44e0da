"""Cross-validation on features, compared with scikit-learn, and its consequences."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.linear_model import LogisticRegression

from striate.classifier.nearest import normalised
from striate.core.errors import RunError
from striate.data.audit.index import index_images
from striate.data.sources.opening import open_data
from striate.metrics.roc import roc_auc
from striate.metrics.suspects import label_suspects, self_confidence
from striate.runs.cross_validation import (
    OutOfFold,
    learning_curve,
    make_reference,
    out_of_fold,
    read_curve,
    write_curve,
)
from striate.runs.folder import Run
from striate.runs.labels import write_labels

CLASSES = 3
PHOTOS = Path(__file__).parent.parent / "golden" / "photo_features.npz"
"""Features of 400 photos of dogs and cats before the last layer of EfficientNet-Lite0: 16 principal components."""


def fit_two(features: np.ndarray, targets: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    return LogisticRegression(max_iter=300).fit(features, targets).predict_log_proba


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


def test_the_learning_curve_rises_to_the_cross_validated_accuracy(blobs, outcome: OutOfFold) -> None:
    features, targets, folds = blobs
    points = learning_curve(features, targets, folds, fit)
    most = max(sum(targets[folds != fold] == label) for fold in range(5) for label in range(CLASSES))
    assert [point.per_class for point in points] == [1, 2, 5, 10, 25, 50, most]
    assert points[-1].accuracy == outcome.accuracy, "the last point has all images of the other folds"
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
    fitted = fit(features, targets)
    limits = reference.limits(features, fitted(features))
    assert all(limit.similarity == pytest.approx(1, abs=2e-3) for limit in limits)
    apart = normalised(features)
    similarity = apart @ apart.T
    similarity[folds[:, None] == folds] = -1
    np.testing.assert_allclose(reference.similarities, similarity.max(axis=1), atol=2e-3)
    unknown = np.eye(CLASSES + 1, 16)[np.full(100, CLASSES)] * 3 + np.random.default_rng(1).normal(size=(100, 16))
    found = reference.limits(unknown, fitted(unknown))
    scores = np.array([*reference.similarities, *(limit.similarity or 0 for limit in found)], np.float64)
    assert (roc_auc(scores, np.arange(len(scores)) < 240) or 0) > 0.9
    assert np.mean([bool(limit.none_of_these) for limit in found]) > 0.4
    assert reference.logits is not None
    np.testing.assert_allclose(reference.logits, outcome.logits.max(axis=1), rtol=1e-6)
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


@pytest.mark.parametrize("draw", [0, 1])
def test_wrong_labels_of_photos_are_found_in_the_first_tenth(draw: int) -> None:
    """`benchmarks/small_data.py` has ten draws, and Fashion-MNIST."""
    with np.load(PHOTOS) as stored:
        features, truth = stored["features"].astype(np.float64), stored["dog"].astype(np.int64)
    planted = np.random.default_rng(draw).choice(len(truth), len(truth) // 20, replace=False)
    wrong = truth.copy()
    wrong[planted] ^= 1
    outcome = out_of_fold(features, wrong, np.arange(len(truth)) % 5, fit_two)
    first = np.argsort(self_confidence(outcome.logits, wrong))[: len(truth) // 10]
    assert np.isin(planted, first).mean() >= 0.95


def test_the_curve_is_read_as_it_was_written(blobs, tmp_path: Path) -> None:
    run = Run(tmp_path)
    assert read_curve(run) == ()
    features, targets, folds = blobs
    points = learning_curve(features, targets, folds, fit)
    write_curve(run, points)
    assert read_curve(run) == points
    run.curve_file.write_text("{}")
    with pytest.raises(RunError, match=r"curve\.json is damaged"):
        read_curve(run)


def test_labels_are_written_suspects_first_and_train_as_corrected(tmp_path: Path) -> None:
    for place in range(8):
        folder = tmp_path / "photos" / ("cat" if place < 4 else "dog")
        folder.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(place).integers(0, 256, (8, 8, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"é {place}.png")
    dataset = open_data(tmp_path / "photos")
    dataset = replace(dataset, splits={"test": np.array([7])}, groups=np.arange(8) // 2)
    logits = np.where(dataset.targets[:7, None] == np.arange(2), 2.0, 0.0)
    logits[2], logits[5] = [0.0, 5.0], [1.0, 0.0]
    outcome = OutOfFold(logits, dataset.targets[:7], np.arange(7) % 2)
    run = Run(tmp_path / "run")
    run.path.mkdir()
    write_labels(run, dataset, index_images(dataset), np.arange(7), outcome)
    lines = run.labels_file.read_text().splitlines()
    assert lines[0] == "path,label,split,group,suspect,predicted,probability,of_label"
    assert lines[1].endswith(f"{dataset.store.name(2)},cat,,1,1,dog,0.993307,0.006693")
    assert lines[2].endswith(f"{dataset.store.name(5)},dog,,2,2,cat,0.731059,0.268941")
    assert lines[-1].endswith(f"{dataset.store.name(7)},dog,test,3,,,,")
    corrected = "\n".join([lines[0], lines[1].replace(",cat,", ",dog,", 1), *lines[3:]])  # the second is left out
    run.labels_file.write_text(corrected)
    again = open_data(run.labels_file)
    assert len(again) == 7
    assert np.bincount(again.targets).tolist() == [3, 4]
    assert [again.store.name(int(number)) for number in again.splits["test"]] == [
        str(tmp_path / "photos" / dataset.store.name(7))
    ]
    assert again.groups is not None
    assert len(np.unique(again.groups)) == 4
