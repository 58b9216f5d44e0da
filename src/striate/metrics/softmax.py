"""Log-probabilities of logits, in double precision and without overflow."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int


def log_softmax(logits: Float[np.ndarray, "n k"], temperature: float = 1.0) -> Float[np.ndarray, "n k"]:
    """Return the logarithms of the probabilities for logits divided by `temperature`."""
    scaled = logits.astype(np.float64) / temperature
    shifted = scaled - scaled.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def cross_entropy(logits: Float[np.ndarray, "n k"], targets: Int[np.ndarray, " n"], temperature: float = 1.0) -> float:
    """Return the mean negative log-likelihood of the targets, in nats."""
    return float(-log_softmax(logits, temperature)[np.arange(len(targets)), targets].mean() + 0.0)
