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


def distill(
    logits: list[list[float]],
    targets: list[list[float]],
    temperature: float = 4.0,
    alpha: float = 0.9,
    taught: list[list[float]] | None = None,
) -> float:
    """`taught` are the teacher's probabilities at the temperature."""
    total = 0.0
    for scores, teacher in zip(logits, taught or [], strict=True):
        log_sum = math.log(sum(math.exp(score / temperature) for score in scores))
        for score, probability in zip(scores, teacher, strict=True):
            total += probability * (math.log(probability) - (score / temperature - log_sum))
    return alpha * temperature**2 * total / len(logits) + (1 - alpha) * cross_entropy(logits, targets)
