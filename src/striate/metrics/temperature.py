"""Temperature scaling: divide logits by a fitted temperature if it is shown to improve calibration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np
from jaxtyping import Float, Int

from striate.metrics.softmax import cross_entropy

COLDEST, HOTTEST = 0.05, 20.0
CHI_SQUARED_95 = 3.841458820694124
"""The 95 % point of the chi-squared distribution with one degree of freedom."""

_TOLERANCE = 1e-12
_BISECTIONS = 60


@dataclass(frozen=True, kw_only=True)
class Temperature:
    """The temperature fitted on `count` validation images, with its 95 % interval from `low` to `high`.

    `selected`: the same images also selected the weights.
    """

    fitted: float
    low: float
    high: float
    count: int
    selected: bool

    @property
    def value(self) -> float:
        """The temperature to use: the fitted one if it is shown to help, else 1.

        It is shown to help if the interval does not contain 1. If the images also selected the weights, the predictions
        for them are better than for unseen images, so they cannot show that confidences should be higher: a temperature
        below 1 is then not used.
        """
        shown = self.low > 1 or (self.high < 1 and not self.selected)
        return self.fitted if shown else 1.0

    @property
    def determined(self) -> bool:
        """Whether some answer was wrong: else the likelihood increases as the temperature goes to 0."""
        return not (self.fitted == 1 and self.low == COLDEST)

    def to_json(self) -> dict[str, float]:
        """Return the fields as plain numbers; `selected` is 1 or 0."""
        return {name: float(value) for name, value in asdict(self).items()}

    @classmethod
    def from_json(cls, value: Mapping[str, float]) -> Temperature:
        """Read the result of `to_json`."""
        fitted, low, high = (float(value[name]) for name in ("fitted", "low", "high"))
        return cls(fitted=fitted, low=low, high=high, count=int(value["count"]), selected=bool(value["selected"]))

    @property
    def reason(self) -> str:
        """Reason why the temperature is used, or not used."""
        if not self.determined:
            return "all answers are right, so it is not determined"
        if self.value != 1:
            return "the interval does not hold 1"
        if self.high < 1:
            return "the same images chose the weights, so they cannot show that the classifier should be surer"
        return "the interval holds 1, so it is not shown to help"


def measure_temperature(
    logits: Float[np.ndarray, "n k"], targets: Int[np.ndarray, " n"], *, selected: bool
) -> Temperature:
    """Fit a temperature with its profile-likelihood interval.

    The interval contains every T for which the log-likelihood of the targets is within 3.84 / 2 of its maximum (Wilks
    1938, "The large-sample distribution of the likelihood ratio"). An end that the images do not determine is the
    limit, `COLDEST` or `HOTTEST`. If every answer is right, the maximum is at `COLDEST`, and the fitted temperature,
    which is then 1, may be outside of the interval.
    """
    fitted = fit_temperature(logits, targets)
    likeliest = min(fitted, COLDEST, key=lambda tried: cross_entropy(logits, targets, tried))
    most = cross_entropy(logits, targets, likeliest) + CHI_SQUARED_95 / (2 * len(targets))

    def end(limit: float) -> float:
        if cross_entropy(logits, targets, limit) <= most:
            return limit
        inside, outside = likeliest, limit
        for _ in range(_BISECTIONS):
            middle = (inside * outside) ** 0.5
            within = cross_entropy(logits, targets, middle) <= most
            inside, outside = (middle, outside) if within else (inside, middle)
        return inside

    return Temperature(fitted=fitted, low=end(COLDEST), high=end(HOTTEST), count=len(targets), selected=selected)


def fit_temperature(logits: Float[np.ndarray, "n k"], targets: Int[np.ndarray, " n"]) -> float:
    """Return the temperature that makes the targets of a validation set most likely, within `COLDEST` … `HOTTEST`.

        minimise over b = 1/T:   mean_i( log Σ_k exp(b z_ik) - b z_iy )      Guo et al. 2017, arXiv:1706.04599, sec. 4.2

    This is convex in b: its slope is mean(E[z] - z_y), its curvature mean(Var[z]), with expectations under the softmax
    at b. Newton's method finds the only root; a step out of the bracket of the sign change is replaced by a bisection.

    If every prediction is correct the likelihood increases as T goes to 0, so the data do not determine a temperature:
    1 is returned, which does not change the confidences.
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
    """Compute the first and second derivative of the mean negative log-likelihood in the inverse temperature."""
    weights = np.exp(inverse * centred)
    weights /= weights.sum(axis=1, keepdims=True)
    mean = (weights * centred).sum(axis=1)
    variance = (weights * centred**2).sum(axis=1) - mean**2
    return float((mean - own).mean()), float(variance.mean())
