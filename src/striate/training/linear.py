"""Linear classifiers on fixed features, fitted to the optimum in float64.

Features are standardised first (mean 0, standard deviation 1), so that the penalty treats them alike; the returned
weights act on the features as they are. With fewer samples than features the optimum lies in the span of the samples,
so the problem is solved there, exactly and in less time.

Targets are class numbers, or a column of 0 and 1 for each class where a sample may have several.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor, optim
from torch.nn import functional as F

from striate.core.compiler import without_compiler
from striate.core.device import ExecutionPlan
from striate.core.errors import TrainingError

Features = Float[np.ndarray, "n d"]
Targets = Int[np.ndarray, " n"] | Shaped[np.ndarray, "n k"]

STRENGTHS = tuple(10.0**exponent for exponent in range(5))
"""Values of `c` that a cross-validation chooses from. Above, the penalty is lost in the tolerance of the solver."""

_LBFGS = without_compiler(optim.LBFGS)
_ITERATIONS = 1000
_GRADIENT = 1e-5  # largest entry of the gradient at the optimum, relative to c · n


@dataclass(frozen=True, eq=False)
class Linear:
    """A linear classifier: logits are features · weightᵀ + bias."""

    weight: Float[np.ndarray, "k d"]
    bias: Float[np.ndarray, " k"]

    def __call__(self, features: Features) -> Float[np.ndarray, "n k"]:
        """Return the logits of samples."""
        return features.astype(np.float64) @ self.weight.T + self.bias


def fit_linear(features: Features, targets: Targets, classes: int, *, kind: str = "logistic", c: float = 1.0) -> Linear:
    """Minimise ½ ‖W‖² + c Σ loss over the samples, W the weights of the standardised features; biases are free.

    `kind` is `logistic` (multinomial cross-entropy; binary cross-entropy of each class where a sample may have several)
    or `svm` (squared hinge loss of each class against the rest).
    Standardised features of dimension d grow like √d, so `c` counts for features divided by √d: the same value then
    suits networks of any width.

    Raises:
        TrainingError: a feature is not finite.
    """
    return next(fit_each(features, targets, classes, kind=kind, strengths=(c,)))


def fit_each(
    features: Features, targets: Targets, classes: int, *, kind: str, strengths: Iterable[float]
) -> Iterator[Linear]:
    """Yield the result of `fit_linear` for each value of `c`; each solution starts the search for the next.

    Raises:
        TrainingError: a feature is not finite.
    """
    if not np.isfinite(features).all():
        raise TrainingError("Some features are not finite numbers: the weights of the network are damaged.")
    rows = features.astype(np.float64)
    mean, spread = rows.mean(axis=0), rows.std(axis=0)
    scale = np.where(spread > 1e-12, spread, np.inf) * np.sqrt(rows.shape[1])
    basis, reduced = _span((rows - mean) / scale)
    x = torch.from_numpy(np.ascontiguousarray(reduced))
    y = torch.from_numpy(targets.astype(np.int64 if targets.ndim == 1 else np.float64))
    weight = torch.zeros(classes, reduced.shape[1], dtype=torch.float64, requires_grad=True)
    bias = torch.zeros(classes, dtype=torch.float64, requires_grad=True)
    for c in strengths:
        _minimise(weight, bias, x, y, kind, c)
        found = weight.detach().numpy()
        found = (found @ basis if basis is not None else found) / scale
        yield Linear(found, bias.detach().numpy() - found @ mean)


def nearest_labels(
    features: Features, targets: Targets, samples: Float[np.ndarray, "m d"], *, k: int = 5
) -> Int[np.ndarray, " m"] | Bool[np.ndarray, "m k"]:
    """Return the most frequent label among the `k` features nearest to a sample by cosine; the nearest breaks ties.

    Where a sample may have several classes, return whether most of these samples have each.
    """
    known, asked = _normalised(features), _normalised(samples)
    order = np.argsort(-(asked @ known.T), axis=1, kind="stable")[:, :k]
    votes = targets[order]
    if targets.ndim == 2:
        return 2 * votes.sum(axis=1) > k
    counts = (votes[:, :, None] == votes[:, None, :]).sum(axis=2)
    return votes[np.arange(len(votes)), counts.argmax(axis=1)]


def _normalised(rows: np.ndarray) -> np.ndarray:
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)


def _span(rows: np.ndarray) -> tuple[np.ndarray | None, np.ndarray]:
    """Return an orthonormal basis (rows) of the span of the samples, and their coordinates in it."""
    if len(rows) >= rows.shape[1]:
        return None, rows
    with ExecutionPlan(threads=1).in_effect():
        basis, coordinates = torch.linalg.qr(torch.from_numpy(rows.T))
    return basis.numpy().T, coordinates.numpy().T


def _minimise(weight: Tensor, bias: Tensor, x: Tensor, y: Tensor, kind: str, c: float) -> None:
    """Move `weight` and `bias` to the optimum."""
    loss = _LOSSES[kind]
    tolerance = _GRADIENT * max(c * len(x), 1e-12)
    solver = _LBFGS(
        [weight, bias],
        max_iter=_ITERATIONS,
        history_size=20,
        tolerance_grad=tolerance,
        tolerance_change=0.0,
        line_search_fn="strong_wolfe",
    )

    def value() -> Tensor:
        solver.zero_grad()
        total = 0.5 * weight.square().sum() + c * loss(x @ weight.T + bias, y)
        total.backward()
        return total

    with ExecutionPlan(threads=1).in_effect():  # the operations are too small to share
        solver.step(value)  # pyright: ignore[reportCallIssue, reportArgumentType]


def _squared_hinge(scores: Tensor, targets: Tensor) -> Tensor:
    present = targets if targets.ndim == 2 else F.one_hot(targets, scores.shape[1]).to(scores.dtype)
    sides = 2.0 * present - 1.0
    return torch.relu(1.0 - sides * scores).square().sum()


def _cross_entropy(scores: Tensor, targets: Tensor) -> Tensor:
    if targets.ndim == 2:
        return F.binary_cross_entropy_with_logits(scores, targets, reduction="sum")
    return F.cross_entropy(scores, targets, reduction="sum")


_LOSSES = {"logistic": _cross_entropy, "svm": _squared_hinge}
