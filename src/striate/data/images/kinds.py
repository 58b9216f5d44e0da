"""Choose the channels and the depth of images of several kinds, and find images that cannot be converted.

Grey and colour may be mixed, and so may depths. An image of other channels than most is left out by name.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
from jaxtyping import Bool, Float64, Shaped

from striate.core.spec import GREY, RGB
from striate.data.preparation.colour import admits, without_alpha

OTHER_CHANNELS = "other channels"
"""The reason of an image that is left out because its channels are not those of the data."""

_NAMED = 5  # channels


def named(channels: tuple[str, ...]) -> str:
    """Name channels in a sentence: by name, or as a count where there are many."""
    return ", ".join(channels) if len(channels) <= _NAMED else f"{len(channels)} channels"


def common_channels(kinds: Shaped[np.ndarray, " n"]) -> tuple[str, ...]:
    """Return the channels to which most of n images can be converted, at least one of them.

    `kinds` holds the channels of each image, comma-separated. Alpha does not count. One image in colour makes grey ones
    colour. Grey and colour win ties.
    """
    counts: Counter[tuple[str, ...]] = Counter()
    for kind, count in zip(*np.unique(kinds, return_counts=True), strict=True):
        counts[without_alpha(tuple(kind.split(",")))] += int(count)
    if counts[GREY] and counts[RGB]:
        counts[RGB] += counts.pop(GREY)
    return max(counts, key=lambda channels: (counts[channels], channels in (GREY, RGB), channels))


def common_maximum(maxima: Float64[np.ndarray, " n"]) -> float:
    """Return the full intensity of the most frequent depth of n images; ties: 16 bits, then 8, then floating."""
    depths, counts = np.unique(maxima, return_counts=True)
    return float(max(zip(counts.tolist(), depths.tolist(), strict=True))[1])


def left_out(kinds: Shaped[np.ndarray, " n"], wanted: tuple[str, ...]) -> Bool[np.ndarray, " n"]:
    """Return a mask of the images that cannot be converted to `wanted`; `kinds` are their channels, comma-separated."""
    names, inverse = np.unique(kinds, return_inverse=True)
    return np.array([not admits(tuple(name.split(",")), wanted) for name in names.tolist()], bool)[inverse]
