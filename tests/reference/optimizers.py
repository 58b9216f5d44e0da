"""Update rules on single numbers, as their papers write them."""

from __future__ import annotations

import math

import numpy as np


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


def adagrad(weight: float, gradients: list[float], *, lr: float, decay: float, epsilon: float = 1e-10) -> float:
    """Duchi, Hazan and Singer's figure 1, for one coordinate."""
    total = 0.0
    for gradient in gradients:
        slope = gradient + decay * weight
        total += slope**2
        weight -= lr * slope / (math.sqrt(total) + epsilon)
    return weight


def adadelta(
    weight: float,
    gradients: list[float],
    *,
    lr: float,
    decay: float,
    rho: float = 0.95,
    epsilon: float = 1e-6,
    step_epsilon: float | None = None,
) -> float:
    """Zeiler's algorithm 1; `step_epsilon` is that of the steps, which have another unit than the gradients."""
    squares = steps = 0.0
    for gradient in gradients:
        slope = gradient + decay * weight
        squares = rho * squares + (1 - rho) * slope**2
        step = math.sqrt(steps + (step_epsilon or epsilon)) / math.sqrt(squares + epsilon) * slope
        steps = rho * steps + (1 - rho) * step**2
        weight -= lr * step
    return weight


def rmsprop(
    weight: float,
    gradients: list[float],
    *,
    lr: float,
    decay: float,
    rho: float = 0.99,
    epsilon: float = 1e-8,
    momentum: float = 0.0,
    centered: bool = False,
) -> float:
    """Tieleman and Hinton's lecture 6e; centered, Graves' eq. 38 to 41 with epsilon outside of the root."""
    squares = mean = velocity = 0.0
    for gradient in gradients:
        slope = gradient + decay * weight
        squares = rho * squares + (1 - rho) * slope**2
        mean = rho * mean + (1 - rho) * slope
        spread = squares - mean**2 if centered else squares
        velocity = momentum * velocity + slope / (math.sqrt(spread) + epsilon)
        weight -= lr * velocity
    return weight


def lamb(
    weight: float,
    gradients: list[float],
    *,
    lr: float,
    decay: float,
    betas: tuple[float, float] = (0.9, 0.999),
    epsilon: float = 1e-8,
) -> float:
    """You et al.'s algorithm 2, for a layer of one weight."""
    first = second = 0.0
    for t, gradient in enumerate(gradients, start=1):
        first = betas[0] * first + (1 - betas[0]) * gradient
        second = betas[1] * second + (1 - betas[1]) * gradient**2
        ratio = first / (1 - betas[0] ** t) / (math.sqrt(second / (1 - betas[1] ** t)) + epsilon)
        way = ratio + decay * weight
        weight -= lr * abs(weight) / abs(way) * way if weight and way else lr * way
    return weight


def muon(
    matrix: np.ndarray,
    gradients: list[np.ndarray],
    *,
    lr: float,
    decay: float,
    momentum: float = 0.95,
    nesterov: bool = True,
) -> np.ndarray:
    """Jordan et al.'s Muon on a matrix, by its singular values, each of which goes through the polynomial alone."""
    velocity = np.zeros_like(matrix)
    for gradient in gradients:
        velocity = momentum * velocity + (1 - momentum) * gradient
        way = (1 - momentum) * gradient + momentum * velocity if nesterov else velocity
        left, values, right = np.linalg.svd(way, full_matrices=False)
        values = values / np.sqrt((values**2).sum())
        for _ in range(5):
            values = 3.4445 * values - 4.7750 * values**3 + 2.0315 * values**5
        matrix = (1 - lr * decay) * matrix
        matrix = matrix - lr * math.sqrt(max(1.0, matrix.shape[0] / matrix.shape[1])) * (left * values) @ right
    return matrix
