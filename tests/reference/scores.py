"""Scores computed the slow and obvious way, sample by sample, to judge `striate.metrics`."""

from __future__ import annotations

import math
from collections.abc import Sequence

Logits = Sequence[Sequence[float]]


def probabilities(row: Sequence[float], temperature: float = 1.0) -> list[float]:
    """Softmax by its definition."""
    largest = max(row)
    weights = [math.exp((value - largest) / temperature) for value in row]
    return [weight / sum(weights) for weight in weights]


def expected_calibration_error(logits: Logits, targets: Sequence[int], bins: int, temperature: float = 1.0) -> float:
    """Sort every answer into its bin by comparison, then add up what each bin is off by."""
    members: list[list[tuple[float, bool]]] = [[] for _ in range(bins)]
    for row, target in zip(logits, targets, strict=True):
        shares = probabilities(row, temperature)
        sure = max(shares)
        right = shares.index(sure) == target
        home = next(b for b in range(bins) if sure <= (b + 1) / bins or b == bins - 1)
        members[home].append((sure, right))
    error = 0.0
    for inside in filter(None, members):
        confidence = sum(sure for sure, _ in inside) / len(inside)
        accuracy = sum(right for _, right in inside) / len(inside)
        error += len(inside) / len(targets) * abs(accuracy - confidence)
    return error


def area_under_roc(scores: Sequence[float], positive: Sequence[bool]) -> float:
    """Compare every positive with every negative."""
    wins = [
        1.0 if own > other else 0.5 if own == other else 0.0
        for own, is_positive in zip(scores, positive, strict=True)
        if is_positive
        for other, other_positive in zip(scores, positive, strict=True)
        if not other_positive
    ]
    return sum(wins) / len(wins)
