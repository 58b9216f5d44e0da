"""The area under the ROC curve, one class against the rest."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Int


def roc_auc(scores: Float[np.ndarray, " n"], positive: Bool[np.ndarray, " n"]) -> float | None:
    """Return the probability that a positive sample scores above a negative one, a tie counting one half.

    This equals the area under the ROC curve by the trapezoid rule, and the Mann-Whitney statistic U / (p · q). It is
    computed from mean ranks (Hanley and McNeil, Radiology 143, 1982). None if all samples are of one kind.
    """
    positives = int(positive.sum())
    negatives = len(positive) - positives
    if not positives or not negatives:
        return None
    _, place, counts = np.unique(scores, return_inverse=True, return_counts=True)
    last_rank = np.cumsum(counts)
    mean_rank = last_rank - (counts - 1) / 2
    excess = mean_rank[place][positive].sum() - positives * (positives + 1) / 2
    return float(excess / (positives * negatives))


def one_vs_rest_aucs(logits: Float[np.ndarray, "n k"], targets: Int[np.ndarray, " n"]) -> tuple[float | None, ...]:
    """Return the AUC of each class against the rest; None for a class that is absent or alone in the targets.

    The order is that of the log-odds, in which probabilities near 0 and near 1 stay apart.
    """
    with np.errstate(divide="ignore"):  # the odds of a class without others are infinite
        scores = _log_odds(logits.astype(np.float64))
    return tuple(roc_auc(scores[:, k], targets == k) for k in range(logits.shape[1]))


def _log_odds(logits: Float[np.ndarray, "n k"]) -> Float[np.ndarray, "n k"]:
    """Return each logit minus the logarithm of the summed exponentials of the others.

    The sums are of sorted values, so that answers that differ in the order of the classes are ties.
    """
    ordered = np.sort(logits, axis=1)
    top, below = ordered[:, -1:], ordered[:, -2:][:, :1]
    # A single largest logit may be nearly the whole sum: the others are added up without it.
    single = (logits == top) & (below < top)
    largest = logits - below - np.log(np.exp(ordered[:, :-1] - below).sum(axis=1, keepdims=True))
    whole = np.exp(ordered - top).sum(axis=1, keepdims=True)
    usual = logits - top - np.log(whole - np.where(single, 0.0, np.exp(logits - top)))
    return np.where(single, largest, usual)


def mean_auc(aucs: tuple[float | None, ...]) -> float | None:
    """Return the plain mean over the classes that have an AUC (the "macro" average); None when none has."""
    known = [auc for auc in aucs if auc is not None]
    return sum(known) / len(known) if known else None
