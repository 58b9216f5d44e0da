"""Initial weights of convolutions, patch by patch."""

from __future__ import annotations

import numpy as np


def patches(images: np.ndarray, height: int, width: int) -> np.ndarray:
    """All patches of images (n, c, h, w), each laid out as (channel, row, column): (patches, c · height · width)."""
    found = []
    for image in images.astype(np.float64):
        for top in range(image.shape[1] - height + 1):
            for left in range(image.shape[2] - width + 1):
                found.append(image[:, top : top + height, left : left + width].reshape(-1))
    return np.array(found)


def covariance(rows: np.ndarray) -> np.ndarray:
    """The covariance of the columns of `rows`, by its definition."""
    mean = np.sum(rows, axis=0) / len(rows)
    return np.sum([np.outer(row - mean, row - mean) for row in rows], axis=0) / len(rows)
