"""Normalisations over channels, one number at a time, as their papers write them."""

from __future__ import annotations

import math

import numpy as np


def local_response(x: np.ndarray, n: int, alpha: float, beta: float, k: float) -> np.ndarray:
    """x (c, h, w). Krizhevsky, Sutskever and Hinton 2012, section 3.3."""
    result = np.zeros_like(x)
    for i, y, z in np.ndindex(x.shape):
        neighbours = range(max(0, i - n // 2), min(len(x) - 1, i + n // 2) + 1)
        result[i, y, z] = x[i, y, z] / (k + alpha * sum(x[j, y, z] ** 2 for j in neighbours)) ** beta
    return result


def layer(x: np.ndarray, scale: np.ndarray, shift: np.ndarray, epsilon: float) -> np.ndarray:
    """x (c, h, w): the channels of each position by themselves."""
    result = np.zeros_like(x)
    for i, y, z in np.ndindex(x.shape):
        column = x[:, y, z]
        mean = sum(column) / len(column)
        variance = sum((value - mean) ** 2 for value in column) / len(column)
        result[i, y, z] = scale[i] * (x[i, y, z] - mean) / math.sqrt(variance + epsilon) + shift[i]
    return result


def squeeze_and_excite(
    x: np.ndarray, reduce: tuple[np.ndarray, np.ndarray], expand: tuple[np.ndarray, np.ndarray]
) -> np.ndarray:
    """x (c, h, w), two layers of (weight, bias). Hu, Shen and Sun 2018, eqs. 2–4."""
    squeezed = [sum(channel.flat) / channel.size for channel in x]
    hidden = [max(0.0, float(row @ squeezed + b)) for row, b in zip(*reduce, strict=True)]
    gates = [1 / (1 + math.exp(-float(row @ hidden + b))) for row, b in zip(*expand, strict=True)]
    return np.stack([channel * gate for channel, gate in zip(x, gates, strict=True)])
