"""One row per sample, so that every number leads back to its files."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from striate.metrics.ranking import predict
from striate.metrics.softmax import log_softmax


@dataclass(frozen=True)
class Rows:
    """What was answered to each sample: its `index` in the data set, true and predicted class, and the confidence."""

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
        """The rows of an evaluation; the confidence is the top probability at `temperature`."""
        confidence = np.exp(log_softmax(logits, temperature).max(axis=1))
        return cls(index, targets, predict(logits), confidence)

    @property
    def right(self) -> Bool[np.ndarray, " n"]:
        """Whether each answer is right."""
        return self.predicted == self.targets

    def take(self, chosen: Int[np.ndarray, " m"] | Bool[np.ndarray, " n"]) -> Rows:
        """The rows at `chosen`, in that order."""
        return Rows(self.index[chosen], self.targets[chosen], self.predicted[chosen], self.confidence[chosen])

    def worst(self, most: int) -> Rows:
        """The wrong answers, most confident first; of equal ones the lower index first."""
        return self.take(~self.right)._most_confident(most)

    def surest(self, most: int) -> Rows:
        """The right answers, most confident first; of equal ones the lower index first."""
        return self.take(self.right)._most_confident(most)

    def cell(self, given: int, predicted: int) -> Rows:
        """The samples counted in one cell of the confusion matrix."""
        return self.take((self.targets == given) & (self.predicted == predicted))

    def _most_confident(self, most: int) -> Rows:
        return self.take(np.lexsort((self.index, -self.confidence))[:most])
