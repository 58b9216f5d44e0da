"""Textures: the fraction of the second colour of a surface at each place, 0 to 1.

A texture is an element-wise function of its own coordinates (rotated, in periods), of the period in pixels (edges are
one pixel soft) and of specks of noise.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Float32

Surface = Float32[np.ndarray, " pixels"]
Texture = Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray], np.ndarray]


def _wave(u: Surface) -> Surface:
    """Return 0 in the middle of each period, 1 at its ends, linear between them."""
    return np.abs(u - np.floor(u) - 0.5) * 2


def _edge(distance: Surface) -> Surface:
    """Convert a signed distance in pixels to a fraction: 1 inside, 0 outside."""
    return (distance + 0.5).clip(0, 1)


def plain(u: Surface, v: Surface, period: Surface, specks: Surface) -> Surface:
    """Return a plain surface, without the second colour."""
    return np.zeros_like(u)


def stripes(u: Surface, v: Surface, period: Surface, specks: Surface) -> Surface:
    """Return stripes as wide as the gaps between them."""
    return _edge((_wave(u) - 0.5) * period * 0.5)


def checks(u: Surface, v: Surface, period: Surface, specks: Surface) -> Surface:
    """Return a chess board."""
    return _edge((_wave(u) - 0.5) * (_wave(v) - 0.5) * period * 2)


def dots(u: Surface, v: Surface, period: Surface, specks: Surface) -> Surface:
    """Return round dots in rows."""
    across, along = _wave(u), _wave(v)
    return _edge((0.62 - np.sqrt(across * across + along * along)) * period * 0.5)


def zigzag(u: Surface, v: Surface, period: Surface, specks: Surface) -> Surface:
    """Return zigzag stripes."""
    return stripes(u + _wave(v * 0.5), v, period, specks)


def grain(u: Surface, v: Surface, period: Surface, specks: Surface) -> Surface:
    """Return the noise, in specks of their full size."""
    return specks


TEXTURES: dict[str, Texture] = {texture.__name__: texture for texture in (plain, stripes, checks, dots, zigzag, grain)}
"""Textures by name; a scene refers to them by position."""
