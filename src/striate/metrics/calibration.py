"""Calibration of confidences: of the predictions with a confidence of 80 %, are 80 % correct?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from striate.core.proportion import Proportion
from striate.metrics.ranking import predict
from striate.metrics.softmax import cross_entropy, log_softmax

BINS = 15
"""Equal-width bins of confidence, as in Guo et al. 2017."""


@dataclass(frozen=True)
class Bin:
    """Predictions with a confidence in (`low`, `high`]: their mean confidence, and how many are correct."""

    low: float
    high: float
    confidence: float | None
    right: Proportion


@dataclass(frozen=True)
class Calibration:
    """Confidence and accuracy at one temperature.

    `loss`: mean negative log-likelihood in nats; `ece`: expected calibration error; `confidence`: mean confidence of
    the predictions; `bins`: the reliability diagram, empty bins included.
    """

    temperature: float
    loss: float
    ece: float
    confidence: float
    bins: tuple[Bin, ...]


def calibration(
    logits: Float[np.ndarray, "n k"], targets: Int[np.ndarray, " n"], temperature: float = 1.0, bins: int = BINS
) -> Calibration:
    """Measure the calibration of the top prediction.

        ECE = Σ_b (n_b / n) · |right_b - confidence_b|      Guo et al. 2017, "On calibration of modern neural
                                                            networks", arXiv:1706.04599, eq. 3

    over bins of equal width, open below and closed above.
    """
    top = np.exp(log_softmax(logits, temperature).max(axis=1))
    right = predict(logits) == targets
    edges = np.linspace(0.0, 1.0, bins + 1)
    place = np.clip(np.searchsorted(edges, top, side="left") - 1, 0, bins - 1)
    counts = np.bincount(place, minlength=bins)
    sums = np.bincount(place, weights=top, minlength=bins)
    hits = np.bincount(place, weights=right, minlength=bins)
    return Calibration(
        temperature=temperature,
        loss=cross_entropy(logits, targets, temperature),
        ece=float(np.abs(hits - sums).sum() / len(targets)),
        confidence=float(top.mean()),
        bins=tuple(
            Bin(
                low=float(edges[b]),
                high=float(edges[b + 1]),
                confidence=float(sums[b] / counts[b]) if counts[b] else None,
                right=Proportion(int(hits[b]), int(counts[b])),
            )
            for b in range(bins)
        ),
    )
