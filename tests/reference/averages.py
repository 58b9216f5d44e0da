"""Averages of a course of weights, as their papers write them, in the precision of the numbers that they receive."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np


def ema(course: Sequence[np.ndarray], decay: float) -> np.ndarray:
    """The closed form: the weights after step t of T count decay^(T - t), and the counts are divided by their sum."""
    counts = decay ** np.arange(len(course) - 1, -1, -1.0)
    return sum((count * weights for count, weights in zip(counts, course, strict=True)), 0.0 * course[0]) / counts.sum()


def swa(course: Sequence[np.ndarray], epoch: int, start: float, every: int) -> np.ndarray:
    """Izmailov et al.'s mean over the ends of epochs later than the fraction `start`."""
    ends = [step for step in range(epoch, len(course) + 1, epoch) if step // epoch % every == 0]
    counted = [course[step - 1] for step in ends if step > start * len(course)]
    return np.mean(counted, axis=0)


def lookahead(
    start: np.ndarray, move: Callable[[np.ndarray], np.ndarray], steps: int, every: int, share: float
) -> np.ndarray:
    """Zhang et al.'s algorithm 1 around an inner optimizer without state; returns the slow weights."""
    slow = start
    for _ in range(steps // every):
        fast = slow
        for _ in range(every):
            fast = move(fast)
        slow = slow + share * (fast - slow)
    return slow
