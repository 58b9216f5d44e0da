"""One number that mends over-confidence: the temperature by which logits are divided."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

COLDEST, HOTTEST = 0.05, 20.0
_TOLERANCE = 1e-12


def fit_temperature(logits: Float[np.ndarray, "n k"], targets: Int[np.ndarray, " n"]) -> float:
    """The temperature that makes the targets of a validation set most likely, within `COLDEST` … `HOTTEST`.

        minimise over b = 1/T:   mean_i( log Σ_k exp(b z_ik) - b z_iy )      Guo et al. 2017, arXiv:1706.04599, sec. 4.2

    This is convex in b: its slope is mean(E[z] - z_y), its curvature mean(Var[z]), with expectations under the softmax
    at b. Newton's steps, halved into the bracket of the sign change when they leave it, find the one root.

    Where every answer is right the likelihood grows without end as T goes to 0, so the data do not determine a
    temperature: 1 is returned, which leaves the confidences as they are.
    """
    centred = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    own = centred[np.arange(len(targets)), targets]
    if (own == 0).all():
        return 1.0
    low, high = 1 / HOTTEST, 1 / COLDEST
    if _slope(centred, own, low)[0] >= 0:
        return HOTTEST
    if _slope(centred, own, high)[0] <= 0:
        return COLDEST
    inverse = 1.0
    while high - low > _TOLERANCE * high:
        slope, curvature = _slope(centred, own, inverse)
        low, high = (inverse, high) if slope < 0 else (low, inverse)
        step = slope / curvature if curvature > 0 else np.inf
        following = inverse - step if low < inverse - step < high else (low + high) / 2
        if abs(following - inverse) <= _TOLERANCE * inverse:
            break
        inverse = following
    return float(1 / inverse)


def _slope(centred: Float[np.ndarray, "n k"], own: Float[np.ndarray, " n"], inverse: float) -> tuple[float, float]:
    """First and second derivative of the mean negative log-likelihood in the inverse temperature."""
    weights = np.exp(inverse * centred)
    weights /= weights.sum(axis=1, keepdims=True)
    mean = (weights * centred).sum(axis=1)
    variance = (weights * centred**2).sum(axis=1) - mean**2
    return float((mean - own).mean()), float(variance.mean())
