"""How images are made of frequencies, and how they are looked at askew: one number at a time."""

from __future__ import annotations

import cmath
import math

import numpy as np


def from_frequencies(half: np.ndarray, height: int, width: int) -> np.ndarray:
    """The real image (height width) whose transform has the left half `half` (height ⌊width/2⌋+1).

    x(y, x) = 1/√(h·w) Σ_kl S_kl exp(2πi (k·y/h + l·x/w)), where S_kl of the right half is the conjugate of
    S_(-k)(-l). Column 0 (and the middle one of an even width) is its own partner: of it only the part that is
    conjugate to itself makes a real image.
    """
    whole = np.zeros((height, width), complex)
    for k in range(height):
        for column in range(width):
            mirrored = half[-k % height, -column % width].conjugate() if -column % width <= width // 2 else None
            own = half[k, column] if column <= width // 2 else None
            found = [value for value in (own, mirrored) if value is not None]
            whole[k, column] = sum(found) / len(found)
    picture = np.zeros((height, width))
    for y in range(height):
        for x in range(width):
            total = sum(
                whole[k, column] * cmath.exp(2j * math.pi * (k * y / height + column * x / width))
                for k in range(height)
                for column in range(width)
            )
            assert abs(total.imag) < 1e-9
            picture[y, x] = total.real / math.sqrt(height * width)
    return picture


def askew(
    canvas: np.ndarray, size: tuple[int, int], scale: float, turn: float, shift: tuple[float, float]
) -> np.ndarray:
    """The view of one channel `canvas`: each pixel of the view, from its middle, is turned, divided by `scale` and
    shifted (x, y), and read off the canvas between its four nearest pixels."""
    view = np.zeros(size)
    for row in range(size[0]):
        for column in range(size[1]):
            v, u = row - (size[0] - 1) / 2, column - (size[1] - 1) / 2
            x = (math.cos(turn) * u - math.sin(turn) * v) / scale + shift[0] + (canvas.shape[1] - 1) / 2
            y = (math.sin(turn) * u + math.cos(turn) * v) / scale + shift[1] + (canvas.shape[0] - 1) / 2
            left, top = math.floor(x), math.floor(y)
            for near_y, weight_y in ((top, top + 1 - y), (top + 1, y - top)):
                for near_x, weight_x in ((left, left + 1 - x), (left + 1, x - left)):
                    if weight_y and weight_x:
                        view[row, column] += weight_y * weight_x * canvas[near_y, near_x]
    return view
