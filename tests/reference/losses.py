"""Losses one sample, one class, one number at a time."""

from __future__ import annotations

import math


def cross_entropy(logits: list[list[float]], targets: list[list[float]], smoothing: float = 0.0) -> float:
    """Mean over samples of -Σ y log p, where y is the smoothed target and p the softmax."""
    total = 0.0
    for row, shares in zip(logits, targets, strict=True):
        partition = sum(math.exp(value) for value in row)
        for value, share in zip(row, shares, strict=True):
            smoothed = (1 - smoothing) * share + smoothing / len(row)
            total -= smoothed * math.log(math.exp(value) / partition)
    return total / len(logits)


def hinge(logits: list[list[float]], targets: list[list[float]], margin: float = 1.0) -> float:
    """Mean over samples of what the wrong classes are short of the margin, for each class that may be the true one."""
    total = 0.0
    for row, shares in zip(logits, targets, strict=True):
        for truth, share in enumerate(shares):
            for other, value in enumerate(row):
                if other != truth:
                    total += share * max(0.0, margin + value - row[truth])
    return total / len(logits)
