"""Losses one sample, one class, one number at a time."""

from __future__ import annotations

import math


def cross_entropy(
    logits: list[list[float]],
    targets: list[list[float]],
    smoothing: float = 0.0,
    weights: list[float] | None = None,
) -> float:
    """Mean over samples of -Σ w y log p: y is the smoothed target, p the softmax, w the weight of the class."""
    total = 0.0
    for row, shares in zip(logits, targets, strict=True):
        partition = sum(math.exp(value) for value in row)
        for value, share, weight in zip(row, shares, weights or [1.0] * len(row), strict=True):
            smoothed = (1 - smoothing) * share + smoothing / len(row)
            total -= weight * smoothed * math.log(math.exp(value) / partition)
    return total / len(logits)


def binary_cross_entropy(
    logits: list[list[float]],
    targets: list[list[float]],
    smoothing: float = 0.0,
    weights: list[float] | None = None,
) -> float:
    """Focal loss that takes hard and easy cases alike; with smoothing, every outcome of a class is drawn at random."""
    drawn = [[share + smoothing * (0.5 - share) for share in row] for row in targets]
    return focal(logits, drawn, gamma=0.0, alpha=None, weights=weights)


def focal(
    logits: list[list[float]],
    targets: list[list[float]],
    gamma: float = 2.0,
    alpha: float | None = 0.25,
    weights: list[float] | None = None,
) -> float:
    """Mean over samples of the sum over classes, each present with the probability of its target."""
    total = 0.0
    for row, shares in zip(logits, targets, strict=True):
        for value, share, weight in zip(row, shares, weights or [1.0] * len(row), strict=True):
            present = 1 / (1 + math.exp(-value))
            for chance, right, factor, times in (
                (share, present, alpha, weight),
                (1 - share, 1 - present, None if alpha is None else 1 - alpha, 1.0),
            ):
                total -= chance * times * (1.0 if factor is None else factor) * (1 - right) ** gamma * math.log(right)
    return total / len(logits)


def class_weights(counts: list[int], beta: float) -> list[float]:
    """Cui et al. 2019: the effective number of samples as the sum 1 + β + β² + … of as many terms as samples."""
    effective = [sum(beta**power for power in range(count)) for count in counts]
    inverse = [1 / number if number else 0.0 for number in effective]
    return [sum(count > 0 for count in counts) * value / sum(inverse) for value in inverse]


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
    temperature: float = 2.0,
    alpha: float = 0.5,
    taught: list[list[float]] | None = None,
) -> float:
    """`taught` are the teacher's probabilities at the temperature."""
    total = 0.0
    for scores, teacher in zip(logits, taught or [], strict=True):
        log_sum = math.log(sum(math.exp(score / temperature) for score in scores))
        for score, probability in zip(scores, teacher, strict=True):
            total += probability * (math.log(probability) - (score / temperature - log_sum))
    return alpha * temperature**2 * total / len(logits) + (1 - alpha) * cross_entropy(logits, targets)
