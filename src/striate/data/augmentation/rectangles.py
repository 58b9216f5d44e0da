"""Random rectangles within an image, by area and aspect ratio."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float64

TRIES = 10
"""Number of rectangles tried for each image; each takes two draws."""

Sides = Float64[np.ndarray, " n"]


def fitting(
    draws: Float64[np.ndarray, "n d"], least: float, most: float, aspect: float, height: int, width: int
) -> tuple[Sides, Sides, Bool[np.ndarray, " n"]]:
    """Return the height and width of the first rectangle of each image that fits, and whether one does.

    Areas are uniform from `least` to `most` of the image's area, and aspect ratios (width / height) log-uniform from
    1 / `aspect` to `aspect`. Sides are rounded to whole pixels.
    """
    area = (least + (most - least) * draws[:, 0 : 2 * TRIES : 2]) * (height * width)
    ratio = aspect ** (2 * draws[:, 1 : 2 * TRIES : 2] - 1)
    rows, columns = np.rint(np.sqrt(area / ratio)), np.rint(np.sqrt(area * ratio))
    fits = (rows > 0) & (rows <= height) & (columns > 0) & (columns <= width)
    images, first = np.arange(len(draws)), fits.argmax(axis=1)
    return rows[images, first], columns[images, first], np.asarray(fits.any(axis=1))


def covered(
    top: Sides, left: Sides, rows: Sides, columns: Sides, height: int, width: int
) -> Bool[np.ndarray, "n 1 h w"]:
    """Return the mask of the pixels within the rectangle of each image."""
    y, x = np.arange(height)[:, None], np.arange(width)
    top, left, rows, columns = (each[:, None, None, None] for each in (top, left, rows, columns))
    return ((y >= top) & (y < top + rows)) & ((x >= left) & (x < left + columns))


def placed(draws: Float64[np.ndarray, " n"], size: int, sides: Sides) -> Sides:
    """Return the first row (or column) of a rectangle within an axis of `size`, every place equally likely."""
    return np.floor(draws * (size - sides + 1))
