"""Average precision of a ranking: how early the relevant items come."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float


def average_precision(scores: Float[np.ndarray, " n"], relevant: Bool[np.ndarray, " n"]) -> float:
    """Return the average precision of a ranking by `scores`, the largest first; NaN where nothing is relevant.

    It is Σ (Rᵢ - Rᵢ₋₁) Pᵢ over the distinct scores, where Rᵢ and Pᵢ are recall and precision of the items with at least
    that score (Manning, Raghavan, Schütze: Introduction to Information Retrieval, 2008, section 8.4). Nothing is
    interpolated. Scores of NaN rank last, all alike. The mean over several rankings is the mean average precision.
    """
    scores = np.where(np.isnan(scores), -np.inf, scores)
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order]
    found = np.cumsum(relevant[order])
    if not len(found) or not found[-1]:
        return float("nan")
    ends = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))
    return float(np.sum(np.diff(found[ends], prepend=0) * found[ends] / (ends + 1)) / found[-1])
