"""The strongest patches found by keeping every activation of every image, and sorting."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

Patch = tuple[float, int, int, int]  # value, index of the image, y, x


def strongest(maps: np.ndarray, index: Sequence[int], unit: int, count: int) -> list[Patch]:
    """The `count` images in whose map (n u h w) `unit` is most active, each at its most active position."""
    found: list[tuple[float, int, int, int, int]] = []
    for number in range(len(maps)):
        best = max(
            (float(maps[number, unit, y, x]), -y, -x) for y in range(maps.shape[2]) for x in range(maps.shape[3])
        )
        found.append((-best[0], number, index[number], -best[1], -best[2]))
    return [(-value, which, y, x) for value, _, which, y, x in sorted(found)[:count]]


def cut(picture: np.ndarray, top: int, left: int, height: int, width: int) -> np.ndarray:
    """A window of an image (c h w), which may hang over its border: there it is 0."""
    found = np.zeros((picture.shape[0], height, width), picture.dtype)
    for y, x in np.ndindex(height, width):
        if 0 <= top + y < picture.shape[1] and 0 <= left + x < picture.shape[2]:
            found[:, y, x] = picture[:, top + y, left + x]
    return found
