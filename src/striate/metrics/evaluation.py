"""Full evaluation of a split, by task."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Int

from striate.core.errors import DataError, RunError, TrainingError
from striate.core.imbalance import is_imbalanced
from striate.core.notebook import table
from striate.core.proportion import Proportion
from striate.core.registry import Registry
from striate.metrics import confusion as tables
from striate.metrics.calibration import Bin, Calibration, calibration
from striate.metrics.ranking import predict, within_top
from striate.metrics.roc import mean_auc, one_vs_rest_aucs
from striate.metrics.rows import Rows, Table
from striate.metrics.temperature import Temperature, measure_temperature

FORMAT = 1
COUNT = "pictures"
"""The number of images among the scores that a classifier records."""
TOP = 5


@runtime_checkable
class Scores(Protocol):
    """Full evaluation of one split under any task; `str` summarizes it in one line."""

    @property
    def count(self) -> int:
        """Number of samples evaluated."""
        ...

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the outputs."""
        ...

    def summary(self) -> dict[str, float]:
        """Return the scores that a classifier records, by name."""
        ...

    def _repr_html_(self) -> str: ...

    def to_json(self) -> dict[str, Any]:
        """Return the evaluation as JSON for `Evaluator.read`."""
        ...


@dataclass(frozen=True)
class Evaluator:
    """Functions for the full evaluation of a split under one task.

    `evaluate(outputs, targets, classes, temperature=)` returns the evaluation, and `read` reads its JSON;
    `rows(outputs, targets, index, temperature)` returns a row for each sample, and `read_rows(index, columns, classes)`
    reads their columns. `evaluate` and `rows` also take the keyword arguments `judged_by` of the task
    (`striate.tasks.Task`). `calibrate(outputs, targets, selected=)` fits a temperature on validation data; None if the
    task has no temperature. `fit(outputs, targets)` fits options of the task on validation data, where the user set
    none; None if the task has no such options.
    """

    evaluate: Callable[..., Scores]
    read: Callable[[Mapping[str, Any]], Scores]
    rows: Callable[..., Table]
    read_rows: Callable[..., Table]
    calibrate: Callable[..., Temperature] | None = None
    fit: Callable[..., Mapping[str, Any]] | None = None


EVALUATORS: Registry[Evaluator] = Registry("evaluator of a task")
"""Evaluators by the name of the task (`striate.tasks.TASKS`)."""


@dataclass(frozen=True)
class ClassificationScores:
    """The scores of a classifier on one split.

    `confusion[i][j]`: samples of class i predicted as class j. `top5` is None with five classes or fewer, because it is
    trivial then. `as_trained` is the calibration of the unchanged logits, `calibrated` that of the logits divided by
    the fitted temperature (None without one). A score that the split does not determine is None.
    """

    classes: tuple[str, ...]
    top1: Proportion
    top5: Proportion | None
    loss: float
    balanced_accuracy: float | None
    macro_f1: float | None
    auc: float | None
    per_class: tuple[tables.ClassScore, ...]
    confusion: tuple[tuple[int, ...], ...]
    as_trained: Calibration
    calibrated: Calibration | None

    def __repr__(self) -> str:
        return f"ClassificationScores({self.top1}, loss {self.loss:.4f})"

    def __str__(self) -> str:
        if not self.imbalanced:
            return str(self.top1)
        return f"balanced accuracy {_percent(self.balanced_accuracy)}, macro F1 {_percent(self.macro_f1)}; {self.top1}"

    def _repr_html_(self) -> str:
        rows = [
            (score.name, score.support, *(_percent(part) for part in (score.precision, score.recall, score.f1)))
            for score in self.per_class
        ]
        title = f"{self} right"
        return table(("class", "images", "precision", "recall", "F1"), rows, title=title, note=f"loss {self.loss:.4f}")

    @property
    def count(self) -> int:
        """Number of samples evaluated."""
        return self.top1.count

    def summary(self) -> dict[str, float]:
        """Return accuracy, loss and number of images."""
        return {"accuracy": self.top1.value or 0.0, "loss": self.loss, COUNT: float(self.count)}

    @property
    def imbalanced(self) -> bool:
        """Whether the classes of the split are imbalanced (`striate.core.imbalance`): accuracy is then shown second."""
        return is_imbalanced(np.array([score.support for score in self.per_class]))

    @property
    def missing(self) -> tuple[str, ...]:
        """Classes without a sample in the split."""
        return tuple(score.name for score in self.per_class if score.support == 0)

    def most_confused(self, most: int) -> tuple[tables.ConfusedPair, ...]:
        """Return the pairs of classes confused most often, most frequent first."""
        return tables.most_confused(np.array(self.confusion, dtype=np.int64), self.classes, most)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON; intervals and ratios are included for other programs."""
        return {
            "format": FORMAT,
            "headline": "balanced_accuracy" if self.imbalanced else "accuracy",
            "classes": list(self.classes),
            "top1": proportion_to_json(self.top1),
            "top5": proportion_to_json(self.top5) if self.top5 else None,
            "loss": self.loss,
            "balanced_accuracy": self.balanced_accuracy,
            "macro_f1": self.macro_f1,
            "auc": self.auc,
            "per_class": [_class_to_json(score) for score in self.per_class],
            "confusion": [list(row) for row in self.confusion],
            "as_trained": _calibration_to_json(self.as_trained),
            "calibrated": _calibration_to_json(self.calibrated) if self.calibrated else None,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> ClassificationScores:
        """Read the JSON of `to_json`; ratios are computed from the counts.

        Raises:
            RunError: the value is of another format, or a key is missing.
        """
        with reading(value):
            return _from_json(value)


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{share:.1%}"


@contextmanager
def reading(value: Mapping[str, Any]) -> Iterator[None]:
    """Check the format of a stored evaluation, and turn errors of reading it into a `RunError`."""
    try:
        if value["format"] != FORMAT:
            raise ValueError(f"format {value['format']} where {FORMAT} is read")
        yield
    except (KeyError, TypeError, ValueError) as error:
        what = f"{error} is missing" if isinstance(error, KeyError) else error
        raise RunError(f"This evaluation cannot be read ({what}). Evaluate the run again.") from error


def check_outputs(outputs: Float[np.ndarray, "n k"]) -> None:
    """Check that there are outputs to evaluate, and that they are finite.

    Raises:
        DataError: there is none.
        TrainingError: some are not finite numbers.
    """
    if not len(outputs):
        raise DataError("There is nothing to evaluate: the split has no image. Choose another split.")
    broken = int((~np.isfinite(outputs)).any(axis=1).sum())
    if broken:
        raise TrainingError(
            f"The network's outputs for {broken} of {len(outputs)} images are not finite numbers: its training "
            "diverged. Train again with a lower learning rate."
        )


def score_classification(
    logits: Float[np.ndarray, "n k"],
    targets: Int[np.ndarray, " n"],
    classes: Sequence[str],
    *,
    temperature: float | None = None,
) -> ClassificationScores:
    """Evaluate the logits of a split; `temperature` was fitted on other data (`fit_temperature`), if any.

    Raises:
        DataError: the split is empty.
        TrainingError: some logits are not finite numbers.
    """
    _check(logits, targets, classes)
    predicted = predict(logits)
    matrix = tables.confusion(targets, predicted, len(classes))
    aucs = one_vs_rest_aucs(logits, targets)
    as_trained = calibration(logits, targets)
    return ClassificationScores(
        classes=tuple(classes),
        top1=Proportion(int((predicted == targets).sum()), len(targets)),
        top5=Proportion(int(within_top(logits, targets, TOP).sum()), len(targets)) if len(classes) > TOP else None,
        loss=as_trained.loss,
        balanced_accuracy=tables.balanced_accuracy(matrix),
        macro_f1=tables.macro_f1(matrix),
        auc=mean_auc(aucs),
        per_class=tables.class_scores(matrix, classes, aucs),
        confusion=tuple(tuple(int(cell) for cell in row) for row in matrix),
        as_trained=as_trained,
        calibrated=None if temperature is None else calibration(logits, targets, temperature),
    )


def _check(logits: Float[np.ndarray, "n k"], targets: Int[np.ndarray, " n"], classes: Sequence[str]) -> None:
    if logits.shape[1] != len(classes):
        raise ValueError(f"{logits.shape[1]} logits for {len(classes)} classes")
    check_outputs(logits)
    if targets.min() < 0 or targets.max() >= len(classes):
        raise ValueError(f"targets lie in 0 … {len(classes) - 1}, not {targets.min()} … {targets.max()}")


def proportion_to_json(proportion: Proportion) -> dict[str, Any]:
    """Return plain JSON; the fraction and its interval are included for other programs."""
    interval = proportion.interval
    return {
        "correct": proportion.correct,
        "count": proportion.count,
        "value": proportion.value,
        "interval": None if interval is None else list(interval),
    }


def _class_to_json(score: tables.ClassScore) -> dict[str, Any]:
    names = ("name", "support", "predicted", "correct", "precision", "recall", "f1", "auc")
    return {name: getattr(score, name) for name in names}


def _calibration_to_json(measured: Calibration) -> dict[str, Any]:
    return {
        "temperature": measured.temperature,
        "loss": measured.loss,
        "ece": measured.ece,
        "confidence": measured.confidence,
        "bins": [
            {"low": b.low, "high": b.high, "confidence": b.confidence, "right": proportion_to_json(b.right)}
            for b in measured.bins
        ],
    }


def _from_json(value: Mapping[str, Any]) -> ClassificationScores:
    return ClassificationScores(
        classes=tuple(value["classes"]),
        top1=proportion_from_json(value["top1"]),
        top5=proportion_from_json(value["top5"]) if value["top5"] else None,
        loss=value["loss"],
        balanced_accuracy=value["balanced_accuracy"],
        macro_f1=value["macro_f1"],
        auc=value["auc"],
        per_class=tuple(
            tables.ClassScore(row["name"], row["support"], row["predicted"], row["correct"], row["auc"])
            for row in value["per_class"]
        ),
        confusion=tuple(tuple(row) for row in value["confusion"]),
        as_trained=_calibration_from_json(value["as_trained"]),
        calibrated=_calibration_from_json(value["calibrated"]) if value["calibrated"] else None,
    )


def proportion_from_json(value: Mapping[str, Any]) -> Proportion:
    """Read the JSON of `proportion_to_json`; fraction and interval are computed."""
    return Proportion(value["correct"], value["count"])


def _calibration_from_json(value: Mapping[str, Any]) -> Calibration:
    return Calibration(
        temperature=value["temperature"],
        loss=value["loss"],
        ece=value["ece"],
        confidence=value["confidence"],
        bins=tuple(
            Bin(row["low"], row["high"], row["confidence"], proportion_from_json(row["right"])) for row in value["bins"]
        ),
    )


EVALUATORS.add(
    "classification",
    Evaluator(score_classification, ClassificationScores.from_json, Rows.of, Rows.read, calibrate=measure_temperature),
)
