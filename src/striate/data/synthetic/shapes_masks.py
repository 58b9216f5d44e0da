"""Shapes as fields: functions of position, negative inside, about the distance to the edge, and 0 on it.

Each form has an area of about 1, its middle near the origin; x points right and y down.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Float32

Field = Float32[np.ndarray, "n h w"]
Form = Callable[[np.ndarray, np.ndarray], np.ndarray]


def _length(x: Field, y: Field) -> Field:
    return np.sqrt(x * x + y * y)


def circle(x: Field, y: Field) -> Field:
    """Return the field of a disc."""
    return _length(x, y) - 0.5642


def crescent(x: Field, y: Field) -> Field:
    """Return the field of a disc without a second one, shifted to the right."""
    x = x - 0.33
    return np.maximum(_length(x, y) - 0.81, 0.657 - _length(x - 0.416, y))


def cross(x: Field, y: Field) -> Field:
    """Return the field of two bars, each three times as long as wide."""
    x, y = np.abs(x), np.abs(y)
    return np.minimum(np.maximum(x - 0.6708, y - 0.2236), np.maximum(x - 0.2236, y - 0.6708))


def heart(x: Field, y: Field) -> Field:
    """Return the field of a square on its corner with half a disc on each upper side."""
    y = y - 0.16
    left, right, half = (x + y) * 0.70710678, (y - x) * 0.70710678, 0.3742
    discs = np.minimum(_length(left + half, right), _length(left, right + half)) - half
    return np.minimum(discs, np.maximum(np.abs(left), np.abs(right)) - half)


def ring(x: Field, y: Field) -> Field:
    """Return the field of a disc with a hole of 0.6 times its radius."""
    return np.abs(_length(x, y) - 0.564) - 0.141


def square(x: Field, y: Field) -> Field:
    """Return the field of a square."""
    return np.maximum(np.abs(x), np.abs(y)) - 0.5


def star(x: Field, y: Field) -> Field:
    """Return the field of a star of five points.

    Two reflections map the plane to the tenth between a tip and a notch; there the edge is one straight line.
    """
    x, y = np.abs(x), -y
    for across, along in ((-0.30901699, 0.95105652), (0.80901699, 0.58778525)):  # cos and sin of 108° and of 36°
        beyond = np.maximum(x * across - y * along, 0) * 2
        x, y = x - beyond * across, y + beyond * along
    return np.abs(x) * 0.89680225 + y * 0.44246239 - 0.3649


def triangle(x: Field, y: Field) -> Field:
    """Return the field of an equilateral triangle."""
    return np.maximum(y, np.abs(x) * 0.8660254 - y * 0.5) - 0.43869


FORMS: dict[str, Form] = {
    form.__name__: form for form in (circle, crescent, cross, heart, ring, square, star, triangle)
}
"""Forms of the classes by name, in natural order."""


def bar(x: Field, y: Field) -> Field:
    """Return the field of a distractor: a bar eight times as long as wide."""
    return np.maximum(np.abs(x) - 1.414, np.abs(y) - 0.177)


def cloud(x: Field, y: Field) -> Field:
    """Return the field of a distractor: three overlapping discs of three sizes."""
    discs = np.minimum(_length(x + 0.36, y - 0.1) - 0.36, _length(x - 0.42, y - 0.16) - 0.27)
    return np.minimum(discs, _length(x - 0.05, y + 0.2) - 0.42)


def arc(x: Field, y: Field) -> Field:
    """Return the field of a distractor: a third of a wide, thin ring."""
    y = y - 1.2
    return np.maximum(np.abs(_length(x, y) - 1.25) - 0.18, np.abs(x) * 0.5 + y * 0.8660254)


DISTRACTORS: tuple[Form, ...] = (bar, cloud, arc)
