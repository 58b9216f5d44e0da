"""Predictions as one row per sample, so that every score can be traced to files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float, Int

from striate.metrics.ranking import predict
from striate.metrics.softmax import log_softmax


@runtime_checkable
class Table(Protocol):
    """Predictions for the samples of a split under any task, one row each; `index` is the index in the data set."""

    @property
    def index(self) -> Int[np.ndarray, " n"]: ...

    def columns(self, classes: Sequence[str]) -> dict[str, list[str]]:
        """Return the columns as text, for a table of comma-separated values."""
        ...


@dataclass(frozen=True)
class Rows:
    """Prediction for each sample: its `index` in the data set, true and predicted class, and the confidence."""

    index: Int[np.ndarray, " n"]
    targets: Int[np.ndarray, " n"]
    predicted: Int[np.ndarray, " n"]
    confidence: Float[np.ndarray, " n"]

    @classmethod
    def of(
        cls,
        logits: Float[np.ndarray, "n k"],
        targets: Int[np.ndarray, " n"],
        index: Int[np.ndarray, " n"],
        temperature: float = 1.0,
    ) -> Rows:
        """Return the rows of an evaluation; the confidence is the top probability at `temperature`."""
        confidence = np.exp(log_softmax(logits, temperature).max(axis=1))
        return cls(index, targets, predict(logits), confidence)

    def columns(self, classes: Sequence[str]) -> dict[str, list[str]]:
        """Return the columns `class`, `answer` and `confidence`, the input of `read`."""
        targets: list[int] = self.targets.tolist()
        predicted: list[int] = self.predicted.tolist()
        return {
            "class": [classes[number] for number in targets],
            "answer": [classes[number] for number in predicted],
            "confidence": [repr(value) for value in self.confidence.tolist()],
        }

    @classmethod
    def read(cls, index: Int[np.ndarray, " n"], columns: Mapping[str, Sequence[str]], classes: Sequence[str]) -> Rows:
        """Read the result of `columns`.

        Raises:
            KeyError, ValueError: a column is missing, or a value is invalid.
        """
        numbers = {label: number for number, label in enumerate(classes)}
        return cls(
            index=index,
            targets=np.array([numbers[label] for label in columns["class"]], np.int64),
            predicted=np.array([numbers[label] for label in columns["answer"]], np.int64),
            confidence=np.array([float(text) for text in columns["confidence"]]),
        )

    @property
    def right(self) -> Bool[np.ndarray, " n"]:
        """Mask of the correct predictions."""
        return self.predicted == self.targets

    def take(self, chosen: Int[np.ndarray, " m"] | Bool[np.ndarray, " n"]) -> Rows:
        """Return the rows at `chosen`, in that order."""
        return Rows(self.index[chosen], self.targets[chosen], self.predicted[chosen], self.confidence[chosen])

    def worst(self, most: int) -> Rows:
        """Return the wrong predictions, most confident first; of equal ones the lower index first."""
        return self.take(~self.right)._most_confident(most)

    def surest(self, most: int) -> Rows:
        """Return the correct predictions, most confident first; of equal ones the lower index first."""
        return self.take(self.right)._most_confident(most)

    def cell(self, given: int, predicted: int) -> Rows:
        """Return the samples counted in one cell of the confusion matrix."""
        return self.take((self.targets == given) & (self.predicted == predicted))

    def _most_confident(self, most: int) -> Rows:
        return self.take(np.lexsort((self.index, -self.confidence))[:most])
