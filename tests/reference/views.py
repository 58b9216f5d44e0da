"""What each view shows of one image, pixel by pixel, as (weight, image); images are (c, h, w) as they are prepared."""

from __future__ import annotations

import numpy as np

Shown = list[tuple[float, np.ndarray]]


def flip(image: np.ndarray) -> Shown:
    c, h, w = image.shape
    mirrored = np.empty_like(image)
    for k in range(c):
        for y in range(h):
            for x in range(w):
                mirrored[k, y, x] = image[k, y, w - 1 - x]
    return [(0.5, image), (0.5, mirrored)]


def shift(image: np.ndarray, pixels: int) -> Shown:
    return [(0.5, image), (0.25, _moved(image, pixels)), (0.25, _moved(image, -pixels))]


def scale(image: np.ndarray, fraction: float) -> Shown:
    return [(1 / 3, image), (1 / 3, _scaled(image, 1 + fraction)), (1 / 3, _scaled(image, 1 / (1 + fraction)))]


def crops(larger: np.ndarray, side: int) -> Shown:
    """`larger` is the whole image, a square; a crop has `side` pixels."""
    end = larger.shape[1] - side
    corners = [(0, 0), (0, end), (end, 0), (end, end), (end // 2, end // 2)]
    return [(0.2, larger[:, y : y + side, x : x + side]) for y, x in corners]


def _moved(image: np.ndarray, by: int) -> np.ndarray:
    """Move the content by pixels to the right and down; beyond the border it is reflected at the last pixel."""
    _, h, w = image.shape
    moved = np.empty_like(image)
    for y in range(h):
        for x in range(w):
            moved[:, y, x] = image[:, _reflected(y - by, h), _reflected(x - by, w)]
    return moved


def _reflected(place: int, size: int) -> int:
    if place < 0:
        return -place
    return place if place < size else 2 * (size - 1) - place


def _scaled(image: np.ndarray, factor: float) -> np.ndarray:
    """Enlarge the content about the centre, with linear interpolation; beyond the border the edge is repeated."""
    _, h, w = image.shape
    scaled = np.zeros(image.shape)
    for y in range(h):
        for x in range(w):
            old_y, old_x = ((y - (h - 1) / 2) / factor + (h - 1) / 2, (x - (w - 1) / 2) / factor + (w - 1) / 2)
            for row in (int(np.floor(old_y)), int(np.floor(old_y)) + 1):
                for column in (int(np.floor(old_x)), int(np.floor(old_x)) + 1):
                    share = (1 - abs(old_y - row)) * (1 - abs(old_x - column))
                    scaled[:, y, x] += share * image[:, _mirrored(row, h), _mirrored(column, w)]
    return scaled


def _mirrored(place: int, size: int) -> int:
    """Reflect at the edge of the last pixel, which is repeated."""
    if place < 0:
        return -1 - place
    return place if place < size else 2 * size - 1 - place
