"""Imbalance of classes: when it is named, and how many images of a class count.

One rule for audits, trainings and evaluations: classes are imbalanced if the largest has at least `UNEVEN` times as
many images as the smallest of those that have any.
"""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float64, Int

UNEVEN = 3.0


def imbalance(counts: Int[np.ndarray, " k"]) -> float:
    """Return the number of images of the largest class in that of the smallest; classes without any do not count."""
    present = counts[counts > 0]
    return float(present.max() / present.min()) if len(present) else 1.0


def is_imbalanced(counts: Int[np.ndarray, " k"]) -> bool:
    """Return whether the largest class has at least `UNEVEN` times as many images as the smallest."""
    return imbalance(counts) >= UNEVEN


def effective_numbers(counts: Int[np.ndarray, " k"], beta: float) -> Float64[np.ndarray, " k"]:
    """Return the effective number of samples of each class, (1 - βⁿ) / (1 - β) for n samples, and n at β = 1.

    Y. Cui et al., "Class-balanced loss based on effective number of samples", CVPR 2019, arXiv:1901.05555, eq. 2.
    """
    return counts.astype(np.float64) if beta == 1 else (1 - beta**counts) / (1 - beta)


def moderate_beta(counts: Int[np.ndarray, " k"]) -> float:
    """Return β = 1 - 1/N for the geometric mean N of the largest and the smallest class, 1 - β to one digit.

    N is the number of samples from which on further ones hardly count. So the weights of the classes, the inverse of
    their effective numbers, differ by about the square root of the imbalance: between no weights and the inverse of
    the frequency.
    """
    present = counts[counts > 0]
    rest = 1 / math.sqrt(float(present.max()) * float(present.min()))
    return 1 - float(f"{rest:.0e}")
