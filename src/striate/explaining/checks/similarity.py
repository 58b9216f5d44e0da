"""Similarity of two maps, image by image: by the order of their values, and by their structure."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

Maps = Float[np.ndarray, "n h w"]
Each = Float[np.ndarray, " n"]

_SIGMA = 1.5  # pixels, of the window over which means and spreads are taken
_REACH = 5  # pixels to each side of its middle
_C1, _C2 = 0.01**2, 0.03**2  # for values from 0 to 1


def rank_correlation(one: Maps, other: Maps) -> Each:
    """Compute Spearman's ρ of each pair of maps: Pearson's correlation of their ranks, ties sharing their mean.

    0 where a map is constant.
    """
    return correlation(ranks(one), ranks(other))


def ranks(maps: Maps) -> Maps:
    """Return each value's rank in its map, from 1; equal values share the mean of their ranks."""
    return np.stack([_ranks(each) for each in maps])


def correlation(one: Maps, other: Maps) -> Each:
    """Compute Pearson's correlation of each pair of maps; 0 where one is constant."""
    one, other = (maps - maps.mean(axis=(1, 2), keepdims=True) for maps in (one, other))
    lengths = np.sqrt((one**2).sum(axis=(1, 2)) * (other**2).sum(axis=(1, 2)))
    return (one * other).sum(axis=(1, 2)) / np.where(lengths > 0, lengths, np.inf)


def structural_similarity(one: Maps, other: Maps) -> Each:
    """Compute the mean structural similarity (SSIM) of each pair of maps, each scaled to the range 0 to 1.

        SSIM = (2 μa μb + C1) (2 σab + C2) / ((μa² + μb² + C1) (σa² + σb² + C2))

    Wang, Bovik, Sheikh and Simoncelli, "Image quality assessment: from error visibility to structural similarity",
    IEEE Transactions on Image Processing 13(4), 2004, equation 13. Means, spreads and the covariance are taken in a
    Gaussian window of 11 × 11 pixels, σ 1.5, where it lies within the map; in smaller maps the window is smaller.
    C1 = 0.01² and C2 = 0.03², as there. The mean is over all places of the window.
    """
    a, b = _stretched(one), _stretched(other)
    mean_a, mean_b = _smooth(a), _smooth(b)
    spread_a, spread_b = _smooth(a * a) - mean_a**2, _smooth(b * b) - mean_b**2
    shared = _smooth(a * b) - mean_a * mean_b
    likeness = (2 * mean_a * mean_b + _C1) * (2 * shared + _C2)
    return (likeness / ((mean_a**2 + mean_b**2 + _C1) * (spread_a + spread_b + _C2))).mean(axis=(1, 2))


def _ranks(values: Float[np.ndarray, "h w"]) -> Float[np.ndarray, "h w"]:
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(count) - (count - 1) / 2)[place].reshape(values.shape)


def _stretched(maps: Maps) -> Maps:
    low, high = (end(maps, axis=(1, 2), keepdims=True).astype(np.float64) for end in (np.min, np.max))
    return (maps - low) / np.where(high > low, high - low, 1.0)


def _smooth(maps: Maps) -> Float[np.ndarray, "n y x"]:
    """Return the Gaussian mean around each place whose window lies within the map."""
    for axis in (1, 2):
        reach = min(_REACH, (maps.shape[axis] - 1) // 2)
        window = np.exp(-0.5 * (np.arange(-reach, reach + 1) / _SIGMA) ** 2)
        slices = np.lib.stride_tricks.sliding_window_view(maps, len(window), axis=axis)
        maps = slices @ (window / window.sum())
    return maps
