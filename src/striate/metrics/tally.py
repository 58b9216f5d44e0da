"""Scores of a split whose logits are not kept: sums over batches, divided once at the end."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from striate.core.proportion import Proportion
from striate.metrics.ranking import predict
from striate.metrics.softmax import cross_entropy


@dataclass(frozen=True)
class Tally:
    """Sums over the samples seen so far; tallies of batches add up to the tally of the whole.

    A mean of batch means would weigh the samples of a short last batch more than the others.
    """

    count: int = 0
    loss_sum: float = 0.0
    correct: int = 0

    @classmethod
    def of(cls, logits: Float[np.ndarray, "n k"], targets: Int[np.ndarray, " n"]) -> Tally:
        """The tally of one batch, with cross-entropy as its loss."""
        count = len(targets)
        correct = int((predict(logits) == targets).sum())
        return cls(count, cross_entropy(logits, targets) * count if count else 0.0, correct)

    def __add__(self, other: Tally) -> Tally:
        return Tally(self.count + other.count, self.loss_sum + other.loss_sum, self.correct + other.correct)

    @property
    def accuracy(self) -> Proportion:
        """How many of how many were right."""
        return Proportion(self.correct, self.count)

    @property
    def loss(self) -> float | None:
        """The mean loss per sample; None of nothing."""
        return self.loss_sum / self.count if self.count else None
