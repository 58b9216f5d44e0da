"""Registry of metrics, for evaluation and early stopping."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from striate.core.registry import Registry
from striate.metrics.calibration import calibration
from striate.metrics.confusion import balanced_accuracy, confusion, macro_f1
from striate.metrics.ranking import predict, within_top
from striate.metrics.roc import mean_auc, one_vs_rest_aucs
from striate.metrics.softmax import cross_entropy

Score = Callable[[np.ndarray, np.ndarray], float | None]


@dataclass(frozen=True)
class Metric:
    """A score computed from the outputs and targets of a split; None if they do not determine it."""

    title: str
    higher_is_better: bool
    score: Score

    def better(self, new: float, old: float) -> bool:
        """Return whether `new` is strictly better than `old`."""
        return new > old if self.higher_is_better else new < old


METRICS: Registry[Metric] = Registry("metric")
PER_CLASS = ("balanced_accuracy", "macro_f1")
"""Metrics in which each class counts alike, for samples of one class each."""


def headline(scores: Mapping[str, float]) -> tuple[str, float | None]:
    """Return title and value of the first score to show: one in which each class counts alike, if any, or accuracy."""
    name = next((each for each in (*PER_CLASS, "mean_average_precision") if each in scores), "accuracy")
    return METRICS[name].title, scores.get(name)


def _matrix(logits: Float[np.ndarray, "n k"], targets: Int[np.ndarray, " n"]) -> Int[np.ndarray, "k k"]:
    return confusion(targets, predict(logits), logits.shape[1])


METRICS.add("loss", Metric("cross-entropy", False, cross_entropy))
METRICS.add("accuracy", Metric("accuracy", True, lambda logits, targets: float(within_top(logits, targets, 1).mean())))
METRICS.add(
    "top5", Metric("top-5 accuracy", True, lambda logits, targets: float(within_top(logits, targets, 5).mean()))
)
METRICS.add(
    "balanced_accuracy",
    Metric("balanced accuracy", True, lambda logits, targets: balanced_accuracy(_matrix(logits, targets))),
)
METRICS.add("macro_f1", Metric("mean F1", True, lambda logits, targets: macro_f1(_matrix(logits, targets))))
METRICS.add("auc", Metric("mean ROC AUC", True, lambda logits, targets: mean_auc(one_vs_rest_aucs(logits, targets))))
METRICS.add(
    "ece", Metric("expected calibration error", False, lambda logits, targets: calibration(logits, targets).ece)
)
