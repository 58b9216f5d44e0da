"""Resample a window of an image without the rest, for images so long and thin that their enlargement fills the memory.

Each new pixel is the weighted mean of the old ones under its filter, along one axis after the other. The weights are
those of torch's `interpolate` (its antialiased cubic has a = -0.5, as Pillow's; the other one a = -0.75), but in
float64, where torch has 15 bits for 8-bit images and float32 for others: values differ by a level, rarely by two.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float64

from striate.core.spec import Filter
from striate.data.images.decoded import ManyPixels

_FEW = 1 << 22  # values: the most that are held between the axes, or converted at once
_REACH = {"bilinear": 1.0, "bicubic": 2.0}


def resample_window(
    pixels: ManyPixels, size: tuple[int, int], window: tuple[range, range], filter: Filter, antialias: bool
) -> Float64[np.ndarray, "n rows columns c"]:
    """Return the rows and columns `window` of `pixels` (n, h, w, c) resampled to `size`, not rounded."""
    across = pixels.shape[1] * len(window[1]) * pixels.shape[3]
    first, second = (2, 1) if across <= _FEW else (1, 2)  # torch resamples the columns first
    values = _along(pixels, first, size[first - 1], window[first - 1], filter, antialias)
    if pixels.dtype == np.uint8:  # torch rounds here too, and clips the overshoot of a cubic
        values = np.clip(np.rint(values), 0, 255)
    return _along(values, second, size[second - 1], window[second - 1], filter, antialias)


def _along(
    pixels: np.ndarray, axis: int, after: int, window: range, filter: Filter, antialias: bool
) -> Float64[np.ndarray, "n rows columns c"]:
    last = np.moveaxis(pixels, axis, -1)
    if last.size <= _FEW:
        last = np.ascontiguousarray(last, np.float64)
    found = np.empty((*last.shape[:-1], len(window)))
    weights = _antialiased if antialias else _interpolating
    for place, (index, weight) in enumerate(weights(last.shape[-1], after, window, filter)):
        found[..., place] = last[..., index] @ weight
    return np.moveaxis(found, -1, axis)


Taps = Iterator[tuple[np.ndarray | slice, Float64[np.ndarray, " taps"]]]


def _antialiased(before: int, after: int, window: range, filter: Filter) -> Taps:
    """Yield the old pixels under the filter of each new one, and their weights; none beyond the border."""
    scale = before / after
    wide = max(scale, 1.0)
    reach = _REACH[filter] * wide
    for new in window:
        centre = scale * (new + 0.5)
        start, stop = max(int(centre - reach + 0.5), 0), min(int(centre + reach + 0.5), before)
        weight = _curve((np.arange(start, stop) - centre + 0.5) / wide, filter, -0.5)
        yield slice(start, stop), weight / weight.sum()


def _interpolating(before: int, after: int, window: range, filter: Filter) -> Taps:
    """Yield the same without widening the filter; beyond the border the border pixel is repeated."""
    scale = before / after
    reach = int(_REACH[filter])
    for new in window:
        at = scale * (new + 0.5) - 0.5
        near = np.arange(int(np.floor(at)) - reach + 1, int(np.floor(at)) + reach + 1)
        yield near.clip(0, before - 1), _curve(near - at, filter, -0.75)


def _curve(distance: np.ndarray, filter: Filter, a: float) -> np.ndarray:
    """Evaluate the triangle, or the cubic of R. Keys (1981), at distances in pixels."""
    x = np.abs(distance)
    if filter == "bilinear":
        return np.maximum(1 - x, 0)
    inner = ((a + 2) * x - (a + 3)) * x * x + 1
    outer = ((x - 5) * x + 8) * x * a - 4 * a
    return np.where(x < 1, inner, np.where(x < 2, outer, 0.0))
