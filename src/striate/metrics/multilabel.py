"""Evaluation where an image may have several classes: scores by class, and thresholds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from striate.core.notebook import table
from striate.core.proportion import Proportion
from striate.metrics.average_precision import average_precision
from striate.metrics.confusion import ClassScore
from striate.metrics.evaluation import (
    COUNT,
    EVALUATORS,
    FORMAT,
    Evaluator,
    check_outputs,
    proportion_from_json,
    proportion_to_json,
    reading,
)
from striate.metrics.roc import roc_auc
from striate.metrics.scores import METRICS, Metric

HALF = 0.5
"""The threshold of a class for which none was fitted or given."""
_NORMAL_95 = 1.6448536269514722
"""The 95 % point of the normal distribution: one-sided 5 %."""
_FIRM = 5
"""Samples of a class with which its threshold moves half of the way, in log odds, from ½ to that of highest F1."""


def sigmoid(outputs: Float[np.ndarray, "n k"], temperature: float = 1.0) -> Float[np.ndarray, "n k"]:
    """Return 1 / (1 + exp(-outputs / temperature))."""
    return np.exp(-np.logaddexp(0, -outputs.astype(np.float64) / temperature))


def label_loss(outputs: Float[np.ndarray, "n k"], targets: Float[np.ndarray, "n k"]) -> float:
    """Return the binary cross-entropy in nats, summed over the classes and averaged over the samples."""
    outputs = outputs.astype(np.float64)
    return float((np.logaddexp(0, outputs) - outputs * targets).sum(axis=1).mean())


def label_accuracy(outputs: Float[np.ndarray, "n k"], targets: Float[np.ndarray, "n k"]) -> float:
    """Return the fraction of the n·k decisions at probability ½ that are right; an output of NaN decides nothing."""
    return float(np.where(_present(targets), outputs >= 0, outputs < 0).mean())


def mean_average_precision(outputs: Float[np.ndarray, "n k"], targets: Float[np.ndarray, "n k"]) -> float | None:
    """Return the mean over the classes with a sample of their average precisions; None where none has any."""
    each = [average_precision(outputs[:, k], present) for k, present in enumerate(_present(targets).T) if present.any()]
    return float(np.mean(each)) if each else None


def f1_threshold(probabilities: Float[np.ndarray, " n"], present: Bool[np.ndarray, " n"]) -> float:
    """Return the threshold with the highest F1 of a class; ½ where no sample has it.

    It lies midway between the two probabilities that it separates. Of thresholds with equal F1 it is the one closest
    to ½. The F1 on the same samples is therefore optimistic (Z. Lipton, C. Elkan and B. Naryanaswamy, "Optimal
    thresholding of classifiers to maximize F1 measure", ECML 2014, arXiv:1402.1892).
    """
    if not present.any():
        return HALF
    order = np.argsort(-probabilities, kind="stable")
    ranked, found = probabilities[order], np.cumsum(present[order])
    ends = np.flatnonzero(np.append(np.diff(ranked) != 0, True))  # the last of equal probabilities
    f1 = 2 * found[ends] / (ends + 1 + found[-1])
    cuts = (ranked[ends] + np.append(ranked[ends][1:], 0.0)) / 2
    best = cuts[f1 == f1.max()]
    return float(best[np.abs(best - HALF).argmin()])


def fit_thresholds(
    outputs: Float[np.ndarray, "n k"], targets: Float[np.ndarray, "n k"]
) -> dict[str, tuple[float, ...]]:
    """Return the option `thresholds`: for each class `f1_threshold` of the probabilities of `outputs`, drawn towards ½.

    Of a few samples, the threshold of highest F1 is mostly chance. With n samples of the class, or n without it if they
    are fewer, its log odds are multiplied by n / (n + 5). It is ½ where the probabilities are not shown to order the
    samples better than chance (Mann-Whitney, one-sided 5 %): the highest F1 then has nearly every sample in the class.
    """
    probabilities, present = sigmoid(outputs), _present(targets)
    return {"thresholds": tuple(_threshold(probabilities[:, k], present[:, k]) for k in range(outputs.shape[1]))}


def _threshold(probabilities: Float[np.ndarray, " n"], present: Bool[np.ndarray, " n"]) -> float:
    having, lacking = int(present.sum()), int((~present).sum())
    area = roc_auc(probabilities, present)
    if area is None or area < HALF + _NORMAL_95 * np.sqrt((having + lacking + 1) / (12 * having * lacking)):
        return HALF
    best, fewer = min(f1_threshold(probabilities, present), 1 - np.finfo(float).epsneg), min(having, lacking)
    odds = (best / (1 - best)) ** (fewer / (fewer + _FIRM))
    return float(odds / (1 + odds))


def threshold_of_each(thresholds: Sequence[float], classes: int) -> Float[np.ndarray, " k"]:
    """Return a threshold for each class: ½ without any, one for all, or the given ones."""
    return np.broadcast_to(np.array(thresholds or (HALF,)), (classes,))


@dataclass(frozen=True)
class LabelScore(ClassScore):
    """Scores of one class at its `threshold`; the average precision does not depend on it."""

    average_precision: float | None = None
    threshold: float = HALF


@dataclass(frozen=True)
class MultilabelScores:
    """The scores of a multi-label classifier on one split.

    `exact`: samples with all classes right. `loss`: see `label_loss`. A score that the split does not determine is
    None.
    """

    classes: tuple[str, ...]
    exact: Proportion
    loss: float
    per_class: tuple[LabelScore, ...]

    @property
    def count(self) -> int:
        """Number of samples evaluated."""
        return self.exact.count

    @property
    def mean_average_precision(self) -> float | None:
        """The mean of the average precisions of the classes that have a sample."""
        found = [score.average_precision for score in self.per_class if score.average_precision is not None]
        return sum(found) / len(found) if found else None

    @property
    def macro_f1(self) -> float | None:
        """The mean F1 of the classes that have a sample."""
        found = [score.f1 for score in self.per_class if score.f1 is not None]
        return sum(found) / len(found) if found else None

    @property
    def micro_f1(self) -> float | None:
        """The F1 of all decisions together: 2 · correct / (support + predicted), each summed over the classes."""
        correct, support, predicted = (
            sum(getattr(score, part) for score in self.per_class) for part in ("correct", "support", "predicted")
        )
        return 2 * correct / (support + predicted) if support else None

    def __repr__(self) -> str:
        return f"MultilabelScores({self})"

    def __str__(self) -> str:
        found = (("mAP", self.mean_average_precision), ("micro F1", self.micro_f1), ("macro F1", self.macro_f1))
        scores = ", ".join(f"{name} {_percent(value)}" for name, value in found)
        return f"{scores}; all labels right: {self.exact}"

    def _repr_html_(self) -> str:
        parts = ("average_precision", "precision", "recall", "f1")
        rows = [
            (score.name, score.support, *(_percent(getattr(score, part)) for part in parts), f"{score.threshold:.3g}")
            for score in self.per_class
        ]
        heads = ("class", "images", "average precision", "precision", "recall", "F1", "threshold")
        return table(heads, rows, title=str(self), note=f"loss {self.loss:.4f}")

    def summary(self) -> dict[str, float]:
        """Return the scores that are determined, the loss and the number of images."""
        names = ("mean_average_precision", "micro_f1", "macro_f1")
        found = {name: value for name in names if (value := getattr(self, name)) is not None}
        return {**found, "exact": self.exact.value or 0.0, "loss": self.loss, COUNT: float(self.count)}

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON; ratios are included for other programs."""
        names = ("name", "support", "predicted", "correct", "average_precision", "threshold")
        ratios = ("precision", "recall", "f1")
        return {
            "format": FORMAT,
            "classes": list(self.classes),
            "exact": proportion_to_json(self.exact),
            "loss": self.loss,
            "mean_average_precision": self.mean_average_precision,
            "micro_f1": self.micro_f1,
            "macro_f1": self.macro_f1,
            "per_class": [{name: getattr(score, name) for name in (*names, *ratios)} for score in self.per_class],
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> MultilabelScores:
        """Read the JSON of `to_json`; ratios are computed from the counts.

        Raises:
            RunError: the value is of another format, or a key is missing.
        """
        with reading(value):
            names = ("name", "support", "predicted", "correct", "average_precision", "threshold")
            return cls(
                tuple(value["classes"]),
                proportion_from_json(value["exact"]),
                value["loss"],
                tuple(LabelScore(**{name: row[name] for name in names}) for row in value["per_class"]),
            )


def score_multilabel(
    outputs: Float[np.ndarray, "n k"],
    targets: Float[np.ndarray, "n k"],
    classes: Sequence[str],
    *,
    temperature: float | None = None,
    thresholds: Sequence[float] = (),
) -> MultilabelScores:
    """Evaluate the outputs of a split, where classes belong to a sample from their `thresholds` on.

    Raises:
        DataError: the split is empty.
        TrainingError: some outputs are not finite numbers.
    """
    check_outputs(outputs)
    limits, present = threshold_of_each(thresholds, len(classes)), _present(targets)
    answered = sigmoid(outputs, temperature or 1.0) >= limits
    each = []
    for k, name in enumerate(classes):
        precise = average_precision(outputs[:, k], present[:, k]) if present[:, k].any() else None
        counts = (int(part.sum()) for part in (present[:, k], answered[:, k], present[:, k] & answered[:, k]))
        each.append(LabelScore(name, *counts, average_precision=precise, threshold=float(limits[k])))
    exact = Proportion(int((answered == present).all(axis=1).sum()), len(targets))
    return MultilabelScores(tuple(classes), exact, label_loss(outputs, targets), tuple(each))


@dataclass(frozen=True)
class MultilabelRows:
    """Prediction for each sample: its `index`, which classes it has, and the probability and threshold of each."""

    index: Int[np.ndarray, " n"]
    present: Bool[np.ndarray, "n k"]
    probabilities: Float[np.ndarray, "n k"]
    thresholds: Float[np.ndarray, " k"]

    @classmethod
    def of(
        cls,
        outputs: Float[np.ndarray, "n k"],
        targets: Float[np.ndarray, "n k"],
        index: Int[np.ndarray, " n"],
        temperature: float = 1.0,
        *,
        thresholds: Sequence[float] = (),
    ) -> MultilabelRows:
        """Return the rows of an evaluation."""
        limits = threshold_of_each(thresholds, outputs.shape[1])
        return cls(index, _present(targets), sigmoid(outputs, temperature), limits)

    def columns(self, classes: Sequence[str]) -> dict[str, list[str]]:
        """Return the input of `read`: `labels` and `answer`, joined by semicolons, then three columns of each class.

        They are `true:NAME`, 0 or 1, `p:NAME`, the probability, and `from:NAME`, the threshold.
        """
        columns = {
            "labels": _joined(self.present, classes),
            "answer": _joined(self.probabilities >= self.thresholds, classes),
        }
        for k, name in enumerate(classes):
            columns[f"true:{name}"] = [str(int(value)) for value in self.present[:, k].tolist()]
            columns[f"p:{name}"] = [repr(value) for value in self.probabilities[:, k].tolist()]
            columns[f"from:{name}"] = [repr(float(self.thresholds[k]))] * len(self.index)
        return columns

    def take(self, chosen: Int[np.ndarray, " m"]) -> MultilabelRows:
        """Return the rows at `chosen`, in that order."""
        return replace(
            self, index=self.index[chosen], present=self.present[chosen], probabilities=self.probabilities[chosen]
        )

    def worst(self, most: int) -> list[tuple[int, int, float]]:
        """Return the wrong decisions as (row, class, confidence), most confident first.

        The confidence is the probability of the class where it was answered, and of its absence where it was not.
        """
        answered = self.probabilities >= self.thresholds
        confidence = np.where(answered, self.probabilities, 1 - self.probabilities)
        rows, numbers = np.nonzero(answered != self.present)
        order = np.argsort(-confidence[rows, numbers], kind="stable")[:most]
        found = confidence[rows, numbers][order]
        return list(zip(rows[order].tolist(), numbers[order].tolist(), found.tolist(), strict=True))

    @classmethod
    def read(
        cls, index: Int[np.ndarray, " n"], columns: Mapping[str, Sequence[str]], classes: Sequence[str]
    ) -> MultilabelRows:
        """Read the result of `columns`.

        Raises:
            KeyError, ValueError: a column is missing, or a value is invalid.
        """
        parts = {
            part: np.array([[float(text) for text in columns[f"{part}:{name}"]] for name in classes]).T
            for part in ("true", "p", "from")
        }
        limits = parts["from"][0] if len(index) else threshold_of_each((), len(classes))
        return cls(index, parts["true"] > 0, parts["p"], limits)


def _joined(having: Bool[np.ndarray, "n k"], classes: Sequence[str]) -> list[str]:
    return [";".join(classes[k] for k in np.flatnonzero(row).tolist()) for row in having]


def _present(targets: Float[np.ndarray, "n k"]) -> Bool[np.ndarray, "n k"]:
    return targets >= HALF


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f} %"


METRICS.add("label_loss", Metric("binary cross-entropy", False, label_loss))
METRICS.add("label_accuracy", Metric("labels right", True, label_accuracy))
METRICS.add("mean_average_precision", Metric("mean average precision", True, mean_average_precision))
EVALUATORS.add(
    "multilabel",
    Evaluator(score_multilabel, MultilabelScores.from_json, MultilabelRows.of, MultilabelRows.read, fit=fit_thresholds),
)
