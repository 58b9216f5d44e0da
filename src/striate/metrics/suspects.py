"""Labels that are probably wrong: those that out-of-fold predictions contradict.

C. Northcutt, L. Jiang and I. Chuang, "Confident learning: estimating uncertainty in dataset labels", JAIR 70 (2021),
arXiv:1911.00068. The order is that of self-confidence, the simplest score of their cleanlab.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

from striate.metrics.softmax import log_softmax


def self_confidence(
    logits: Float[np.ndarray, "n k"], targets: Int[np.ndarray, " n"], temperature: float = 1.0
) -> Float[np.ndarray, " n"]:
    """Return the probability that each image has for its own label, by a model that was not trained on the image."""
    return np.exp(log_softmax(logits, temperature)[np.arange(len(targets)), targets])


def label_suspects(logits: Float[np.ndarray, "n k"], targets: Int[np.ndarray, " n"]) -> Int[np.ndarray, " m"]:
    """Return the images whose prediction contradicts the label, the least self-confident first.

    `logits` are out of fold: a model that has learned a wrong label does not contradict it.
    """
    order = np.argsort(self_confidence(logits, targets), kind="stable")
    return order[logits[order].argmax(axis=1) != targets[order]]
