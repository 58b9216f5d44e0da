"""The confusion matrix and the scores computed from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int


def confusion(targets: Int[np.ndarray, " n"], predicted: Int[np.ndarray, " n"], classes: int) -> Int[np.ndarray, "k k"]:
    """Count samples by true class (row) and predicted class (column)."""
    cells = np.bincount(targets * classes + predicted, minlength=classes * classes)
    return cells.reshape(classes, classes).astype(np.int64)


@dataclass(frozen=True)
class ClassScore:
    """Scores of one class: counts, and the ratios computed from them.

    `support`: samples of this class; `predicted`: samples predicted as this class; `correct`: both. `auc`: area under
    the ROC curve of this class against the rest. A ratio with denominator zero is None, never 0: a class without
    samples in the split has no recall, a class that was never predicted has no precision.
    """

    name: str
    support: int
    predicted: int
    correct: int
    auc: float | None = None

    @property
    def precision(self) -> float | None:
        """The fraction of the samples predicted as this class that are of it."""
        return self.correct / self.predicted if self.predicted else None

    @property
    def recall(self) -> float | None:
        """The fraction of the samples of this class that were predicted as it."""
        return self.correct / self.support if self.support else None

    @property
    def f1(self) -> float | None:
        """2 · correct / (support + predicted), the harmonic mean of precision and recall if both exist.

        It is 0 for a class that has samples and was never predicted, and None for a class without samples.
        """
        return 2 * self.correct / (self.support + self.predicted) if self.support else None


@dataclass(frozen=True)
class ConfusedPair:
    """Two classes and the `count` of samples of class `given` (of `support` in all) predicted as class `predicted`."""

    given: str
    predicted: str
    count: int
    support: int


def class_scores(
    matrix: Int[np.ndarray, "k k"], names: Sequence[str], aucs: Sequence[float | None]
) -> tuple[ClassScore, ...]:
    """Return one `ClassScore` per class, in the order of the matrix."""
    support, predicted, correct = matrix.sum(axis=1), matrix.sum(axis=0), np.diagonal(matrix)
    return tuple(
        ClassScore(name, int(support[k]), int(predicted[k]), int(correct[k]), aucs[k]) for k, name in enumerate(names)
    )


def balanced_accuracy(matrix: Int[np.ndarray, "k k"]) -> float | None:
    """Return the mean recall over the classes that have samples; None when none has."""
    support = matrix.sum(axis=1)
    present = support > 0
    return float((np.diagonal(matrix)[present] / support[present]).mean()) if present.any() else None


def macro_f1(matrix: Int[np.ndarray, "k k"]) -> float | None:
    """Return the mean F1 over the classes that have samples; None when none has."""
    support, predicted = matrix.sum(axis=1), matrix.sum(axis=0)
    present = support > 0
    if not present.any():
        return None
    return float((2 * np.diagonal(matrix)[present] / (support + predicted)[present]).mean())


def most_confused(matrix: Int[np.ndarray, "k k"], names: Sequence[str], most: int) -> tuple[ConfusedPair, ...]:
    """Return at most `most` of the most frequently confused pairs, most frequent first, ties in class order."""
    wrong = matrix.copy()
    np.fill_diagonal(wrong, 0)
    order = np.argsort(-wrong, axis=None, kind="stable")[:most]
    pairs = [divmod(int(cell), len(names)) for cell in order if wrong.flat[cell] > 0]
    return tuple(ConfusedPair(names[i], names[j], int(wrong[i, j]), int(matrix[i].sum())) for i, j in pairs)
