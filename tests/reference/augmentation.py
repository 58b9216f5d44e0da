"""What each augmentation does to one image, by scipy and loops; draws come as numbers in [0, 1)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from scipy import ndimage


def flip(picture: np.ndarray, draws: np.ndarray, strength: float, blank: np.ndarray) -> np.ndarray:
    return picture[:, :, ::-1] if draws[0] < 0.5 else picture


def shift(picture: np.ndarray, draws: np.ndarray, strength: float, blank: np.ndarray) -> np.ndarray:
    """Pad with the mirror image, then crop."""
    _, height, width = picture.shape
    reach_x, reach_y = round(strength * width), round(strength * height)
    padded = np.pad(picture, [(0, 0), (reach_y, reach_y), (reach_x, reach_x)], mode="symmetric")
    left, top = int(draws[0] * (2 * reach_x + 1)), int(draws[1] * (2 * reach_y + 1))
    return padded[:, top : top + height, left : left + width]


def _about_centre(picture: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """`matrix` takes (y, x) from the centre of the new image to the old one."""
    centre = (np.array(picture.shape[1:]) - 1) / 2
    offset: Any = centre - matrix @ centre
    return np.stack(
        [ndimage.affine_transform(plane, matrix, offset, order=1, mode="reflect") for plane in picture.astype(float)]
    )


def rotation(picture: np.ndarray, draws: np.ndarray, strength: float, blank: np.ndarray) -> np.ndarray:
    angle = math.radians(strength * (2 * draws[0] - 1))
    return _about_centre(picture, np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]]))


def scale(picture: np.ndarray, draws: np.ndarray, strength: float, blank: np.ndarray) -> np.ndarray:
    larger = (1 + strength) ** (2 * draws[0] - 1)
    return _about_centre(picture, np.eye(2) / larger)


def brightness(picture: np.ndarray, draws: np.ndarray, strength: float, blank: np.ndarray) -> np.ndarray:
    return np.clip(picture * (1 + strength * (2 * draws[0] - 1)), min(0, picture.min()), max(1, picture.max()))


def contrast(picture: np.ndarray, draws: np.ndarray, strength: float, blank: np.ndarray) -> np.ndarray:
    mean = picture.astype(float).mean()
    changed = mean + (picture - mean) * (1 + strength * (2 * draws[0] - 1))
    return np.clip(changed, min(0, picture.min()), max(1, picture.max()))


def cutout(picture: np.ndarray, draws: np.ndarray, strength: float, blank: np.ndarray) -> np.ndarray:
    _, height, width = picture.shape
    side = max(1, round(strength * min(height, width)))
    top, left = int(draws[0] * height) - side // 2, int(draws[1] * width) - side // 2
    result = picture.copy()
    for y in range(height):
        for x in range(width):
            if top <= y < top + side and left <= x < left + side:
                result[:, y, x] = blank
    return result
