"""Every registered metric against scikit-learn, and what each owes: order, splitting and relabelling do not matter."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import sklearn.metrics as judge

from reference.scores import expected_calibration_error
from striate.core.errors import ConfigError
from striate.metrics import METRICS


def _softmax(logits: np.ndarray) -> np.ndarray:
    weights = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    return weights / weights.sum(axis=1, keepdims=True)


def _labels(logits: np.ndarray) -> np.ndarray:
    return np.arange(logits.shape[1])


JUDGES: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {
    "loss": lambda z, t: judge.log_loss(t, _softmax(z), labels=_labels(z)),
    "accuracy": lambda z, t: judge.accuracy_score(t, z.argmax(1)),
    "top5": lambda z, t: judge.top_k_accuracy_score(t, z, k=5, labels=_labels(z)),
    "balanced_accuracy": lambda z, t: judge.balanced_accuracy_score(t, z.argmax(1)),
    "macro_f1": lambda z, t: judge.f1_score(t, z.argmax(1), labels=np.unique(t), average="macro"),
    "auc": lambda z, t: judge.roc_auc_score(t, _softmax(z), multi_class="ovr", average="macro", labels=_labels(z)),
    "ece": lambda z, t: expected_calibration_error(z.tolist(), t.tolist(), 15),
    "label_loss": lambda z, t: sum(map(judge.log_loss, t.T, (1 / (1 + np.exp(-z))).T)),
    "label_accuracy": lambda z, t: 1 - judge.hamming_loss(t, z >= 0),
    "mean_average_precision": lambda z, t: judge.average_precision_score(t, z, average="macro"),
}
OF_LABELS = {"label_loss", "label_accuracy", "mean_average_precision"}  # their targets are a 0 or 1 for each class


def _samples(name: str, classes: int, count: int = 400, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Logits that are right more often than not, for targets in which every class occurs and none as often."""
    random = np.random.default_rng(seed)
    targets = np.concatenate([np.arange(classes), random.choice(classes, count - classes, p=_uneven(classes))])
    logits = random.normal(size=(count, classes)) * 2
    logits[np.arange(count), targets] += 1.5
    if name in OF_LABELS:
        return logits, np.maximum(np.eye(classes)[targets], random.random((count, classes)) < 0.1)
    return logits, targets


def _uneven(classes: int) -> np.ndarray:
    weights = 1.0 / np.arange(1, classes + 1)
    return weights / weights.sum()


@pytest.fixture(params=sorted(METRICS))
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.mark.parametrize("classes", [6, 10, 37])
def test_equals_an_independent_implementation(name: str, classes: int) -> None:
    logits, targets = _samples(name, classes)
    assert METRICS[name].score(logits, targets) == pytest.approx(JUDGES[name](logits, targets), abs=1e-12)


def test_does_not_depend_on_the_order_of_the_samples(name: str) -> None:
    logits, targets = _samples(name, 10)
    order = np.random.default_rng(1).permutation(len(targets))
    score = METRICS[name].score
    assert score(logits[order], targets[order]) == pytest.approx(score(logits, targets), abs=1e-12)


def test_does_not_depend_on_the_order_of_the_classes(name: str) -> None:
    logits, targets = _samples(name, 10)
    order = np.random.default_rng(2).permutation(10)
    score = METRICS[name].score
    moved = targets[:, order] if name in OF_LABELS else np.argsort(order)[targets]
    assert score(logits[:, order], moved) == pytest.approx(score(logits, targets), abs=1e-12)


def test_perfect_answers_are_the_best(name: str) -> None:
    targets = np.tile(np.arange(7), 3)
    perfect = (np.eye(7)[targets] - 0.5) * 200.0
    targets = np.eye(7)[targets] if name in OF_LABELS else targets
    worse = perfect.copy()
    worse[:3] = np.roll(worse[:3], 1, axis=1)
    metric = METRICS[name]
    best, lower = metric.score(perfect, targets), metric.score(worse, targets)
    assert best is not None
    assert lower is not None
    assert best == pytest.approx(1.0 if metric.higher_is_better else 0.0, abs=1e-12)
    assert metric.better(best, lower) or name == "top5"
    assert not metric.better(best, best)


def test_large_logits_do_not_overflow(name: str) -> None:
    logits, targets = _samples(name, 8)
    score = METRICS[name].score(logits.astype(np.float32) * 1e4, targets)
    assert score is not None
    assert math.isfinite(score)


def test_every_metric_has_a_judge() -> None:
    assert set(JUDGES) == set(METRICS)


def test_an_unknown_metric_offers_the_nearest() -> None:
    with pytest.raises(ConfigError, match="Did you mean 'accuracy'"):
        METRICS["acuracy"]
