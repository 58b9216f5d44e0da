"""Maps to compare a map with: edges of the image, and the same map elsewhere, mirrored or turned."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from torch import Tensor

Maps = Float[np.ndarray, "n h w"]


def edges(images: Float[Tensor, "n c h w"]) -> Float[np.ndarray, "n h w"]:
    """Compute the length of the gradient of the channels' mean, by differences of neighbours; 0 along a side of 1."""
    grey = images.float().mean(1).cpu().numpy()
    slopes = [np.gradient(grey, axis=axis) if grey.shape[axis] > 1 else np.zeros_like(grey) for axis in (1, 2)]
    return np.hypot(*slopes)


def moved(maps: Maps, seed: int) -> Maps:
    """Move each map to a random place: shift it cyclically, and mirror it in half of the cases, in each direction.

    This is a random order with the grain of the map. An order that drew each pixel by itself would be no fair chance:
    single scattered pixels are a noise that changes an answer sooner than any patch of the same size.
    """
    generator = np.random.default_rng(seed)
    height, width = maps.shape[1:]
    return np.stack(
        [
            np.roll(
                each[:: generator.choice((-1, 1)), :: generator.choice((-1, 1))],
                generator.integers((height, width)),
                axis=(0, 1),
            )
            for each in maps
        ]
    )


def turned(maps: Maps) -> list[Maps]:
    """Return the maps mirrored and turned in place, in all seven ways; maps that are not square, in three."""
    ways = [maps, maps.swapaxes(1, 2)] if maps.shape[1] == maps.shape[2] else [maps]
    every = [way[:, ::down, ::across] for way in ways for down in (1, -1) for across in (1, -1)]
    return [np.ascontiguousarray(each) for each in every[1:]]
