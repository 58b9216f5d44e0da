"""Whether maps over pictures point at what is known to be there: numpy only, from maps and masks."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float

from striate.core.proportion import Proportion

Maps = Float[np.ndarray, "n h w"]
Masks = Bool[np.ndarray, "n h w"]


def points_within(maps: Maps, masks: Masks) -> Bool[np.ndarray, " n"]:
    """The pointing game: whether the largest value of each map lies on the object.

    Zhang, Lin, Brandt, Shen and Sclaroff, "Top-down neural attention by excitation backprop", ECCV 2016,
    arXiv:1608.00507, section 4.1. There, a point within 15 pixels of the object hits; here it must lie on it. Where
    several values are the largest, the map points at all of them, and hits only if all lie on the object; so a map that
    is constant never does, nor does one with a value that is no number.
    """
    largest = maps == maps.max(axis=(1, 2), keepdims=True)
    return largest.any(axis=(1, 2)) & ~(largest & ~masks).any(axis=(1, 2))


def share_within(maps: Maps, masks: Masks) -> Float[np.ndarray, " n"]:
    """The share of the positive part of each map that lies within the mask; 0 where nothing is positive.

    Wang et al., "Score-CAM: score-weighted visual explanations for convolutional neural networks", CVPR workshops 2020,
    arXiv:1910.01279, section 4.3 (the energy-based pointing game).
    """
    positive = np.maximum(maps, 0).astype(np.float64)
    whole = positive.sum(axis=(1, 2))
    return np.where(masks, positive, 0).sum(axis=(1, 2)) / np.where(whole > 0, whole, 1.0)


def chance_of_pointing(masks: Masks) -> float:
    """How often a pixel drawn by lot lies on the object: the mean share of the masks."""
    return float(masks.mean())


def centre_points(masks: Masks) -> Proportion:
    """How often the middle of the picture lies on the object; where no single pixel is the middle, all that are."""
    height, width = masks.shape[1:]
    middle = masks[:, (height - 1) // 2 : height // 2 + 1, (width - 1) // 2 : width // 2 + 1]
    return Proportion(int(middle.all(axis=(1, 2)).sum()), len(masks))
