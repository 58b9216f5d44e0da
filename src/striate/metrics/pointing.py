"""The pointing games: scores of maps over images against known masks of objects."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from striate.core.errors import DataError
from striate.core.proportion import Proportion

_RESAMPLES = 1000

Maps = Float[np.ndarray, "n h w"]
Masks = Bool[np.ndarray, "n h w"]


@dataclass(frozen=True)
class Pointing:
    """Scores of maps in the pointing games, and two baselines without a map.

    `hits`: the pointing game, as a proportion with its interval. `energy`: the mean fraction of the positive part of
    the maps within the masks, and `energy_interval` its 95 % bootstrap interval over images (1,000 resamples).
    `chance`: the mean fraction of the image that the masks cover, which is the hit rate of a random pixel and the
    energy of a constant map. `centre`: how often the centre of the image lies on the object.
    """

    hits: Proportion
    energy: float
    energy_interval: tuple[float, float]
    chance: float
    centre: Proportion

    def __str__(self) -> str:
        low, high = self.energy_interval
        return (
            f"pointing game: {self.hits}; energy within the mask: {100 * self.energy:.2f} % (95 % interval "
            f"{100 * low:.1f} % to {100 * high:.1f} %); a random pixel hits {100 * self.chance:.2f} %, the centre of "
            f"the image {self.centre}"
        )


def pointing_game(maps: Maps, masks: Bool[np.ndarray, "m rows columns"]) -> Pointing:
    """Compute the pointing game and the energy-based pointing game for maps and masks of one size.

    Raises:
        DataError: the sizes differ, there is no image, or a mask is empty.
    """
    if maps.shape != masks.shape or not len(maps):
        raise DataError(f"Maps and masks are of one size (n, h, w); received {maps.shape} and {masks.shape}.")
    empty = np.flatnonzero(~masks.any(axis=(1, 2)))
    if len(empty):
        raise DataError(f"A mask marks at least one pixel; that of image {empty[0] + 1} marks none.")
    shares = share_within(maps, masks)
    chosen = np.random.default_rng(0).integers(len(shares), size=(_RESAMPLES, len(shares)))
    low, high = np.quantile(shares[chosen].mean(axis=1), (0.025, 0.975)).tolist()
    hits = Proportion(int(points_within(maps, masks).sum()), len(maps))
    return Pointing(hits, float(shares.mean()), (low, high), chance_of_pointing(masks), centre_points(masks))


def points_within(maps: Maps, masks: Masks) -> Bool[np.ndarray, " n"]:
    """Return whether the largest value of each map lies on the object (the pointing game).

    Zhang, Lin, Brandt, Shen and Sclaroff, "Top-down neural attention by excitation backprop", ECCV 2016,
    arXiv:1608.00507, section 4.1. There, a point within 15 pixels of the object is a hit; here it must lie on the
    object. If several values are the largest, all of them must lie on the object; so a constant map is never a hit, nor
    is a map with a NaN.
    """
    largest = maps == maps.max(axis=(1, 2), keepdims=True)
    return largest.any(axis=(1, 2)) & ~(largest & ~masks).any(axis=(1, 2))


def share_within(maps: Maps, masks: Masks) -> Float[np.ndarray, " n"]:
    """Return the fraction of the positive part of each map within its mask; 0 if no value is positive.

    Wang et al., "Score-CAM: score-weighted visual explanations for convolutional neural networks", CVPR workshops 2020,
    arXiv:1910.01279, section 4.3 (the energy-based pointing game).
    """
    positive = np.maximum(maps, 0).astype(np.float64)
    whole = positive.sum(axis=(1, 2))
    return np.where(masks, positive, 0).sum(axis=(1, 2)) / np.where(whole > 0, whole, 1.0)


def chance_of_pointing(masks: Masks) -> float:
    """Return the probability that a random pixel lies on the object: the mean fraction that masks cover."""
    return float(masks.mean())


def centre_points(masks: Masks) -> Proportion:
    """Count how often the centre of the image lies on the object; of several central pixels, all must."""
    height, width = masks.shape[1:]
    middle = masks[:, (height - 1) // 2 : height // 2 + 1, (width - 1) // 2 : width // 2 + 1]
    return Proportion(int(middle.all(axis=(1, 2)).sum()), len(masks))
