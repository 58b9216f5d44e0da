"""Preparation as one would explain it: every output pixel is a weighted mean of the input pixels near it."""

from __future__ import annotations

import math

import numpy as np

from striate.core.geometry import place
from striate.core.spec import InputSpec


def triangle(x: float) -> float:
    return max(0.0, 1.0 - abs(x))


def cubic(x: float, a: float) -> float:
    x = abs(x)
    if x < 1:
        return ((a + 2) * x - (a + 3)) * x * x + 1
    return (((x - 5) * x + 8) * x - 4) * a if x < 2 else 0.0


def resample_line(line: np.ndarray, size: int, kind: str, antialias: bool) -> np.ndarray:
    """A line of numbers (n, …) onto `size` places. Antialiased: weights beyond the border are dropped and the rest
    sums to one; else the border pixel goes on for ever."""
    old = len(line)
    step = old / size
    widening = max(1.0, step) if antialias else 1.0
    new = np.zeros((size, *line.shape[1:]))
    for i in range(size):
        centre = (i + 0.5) * step
        if kind == "nearest":
            new[i] = line[min(old - 1, math.floor(centre))]
            continue
        # Pillow's and torch's antialiased cubic has a = -0.5, torch's plain one a = -0.75.
        weigh, reach = (
            (triangle, 1.0) if kind == "bilinear" else (lambda x: cubic(x, -0.5 if antialias else -0.75), 2.0)
        )
        total = 0.0
        for j in range(math.floor(centre - reach * widening) - 1, math.ceil(centre + reach * widening) + 1):
            if antialias and not 0 <= j < old:
                continue
            weight = weigh((j + 0.5 - centre) / widening)
            total += weight
            new[i] += weight * line[min(max(j, 0), old - 1)]
        new[i] /= total
    return new


def resize(pixels: np.ndarray, height: int, width: int, kind: str, antialias: bool) -> np.ndarray:
    """(h, w, c) in float64: along the rows first, then along the columns; 8 bits are rounded and clipped between."""
    columns = resample_line(pixels.astype(np.float64).transpose(1, 0, 2), width, kind, antialias)
    if pixels.dtype == np.uint8:
        columns = np.clip(np.rint(columns), 0, 255)
    return resample_line(columns.transpose(1, 0, 2), height, kind, antialias)


def prepare(pixels: np.ndarray, spec: InputSpec) -> np.ndarray:
    """(h, w, c) with the right channels already, to (c, height, width) in float64, values not scaled."""
    assert spec.padding is not None
    placement = place(spec, *pixels.shape[:2])
    resized = resize(pixels, *placement.resized, spec.filter, spec.antialias)
    result = np.full((pixels.shape[2], *spec.size), spec.padding * spec.maximum)
    for y in range(spec.height):
        for x in range(spec.width):
            row, column = y + placement.offset[0], x + placement.offset[1]
            if 0 <= row < placement.resized[0] and 0 <= column < placement.resized[1]:
                result[:, y, x] = resized[row, column]
    return result
