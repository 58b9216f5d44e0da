"""Update rules on single numbers, as their papers write them."""

from __future__ import annotations

import math


def sgd(
    weight: float, gradients: list[float], *, lr: float, decay: float, momentum: float = 0.9, nesterov: bool = False
) -> float:
    """Polyak's heavy ball, or Nesterov's look-ahead; the L2 penalty is part of the gradient."""
    velocity = 0.0
    for gradient in gradients:
        slope = gradient + decay * weight
        velocity = momentum * velocity + slope
        weight -= lr * (slope + momentum * velocity if nesterov else velocity)
    return weight


def adam(
    weight: float,
    gradients: list[float],
    *,
    lr: float,
    decay: float,
    betas: tuple[float, float] = (0.9, 0.999),
    epsilon: float = 1e-8,
    decoupled: bool = False,
) -> float:
    """Kingma and Ba's algorithm 1; with `decoupled` Loshchilov and Hutter's algorithm 2."""
    first = second = 0.0
    for t, gradient in enumerate(gradients, start=1):
        slope = gradient if decoupled else gradient + decay * weight
        if decoupled:
            weight -= lr * decay * weight
        first = betas[0] * first + (1 - betas[0]) * slope
        second = betas[1] * second + (1 - betas[1]) * slope**2
        unbiased_first = first / (1 - betas[0] ** t)
        unbiased_second = second / (1 - betas[1] ** t)
        weight -= lr * unbiased_first / (math.sqrt(unbiased_second) + epsilon)
    return weight
