"""Which channels and which depth images of several kinds are given in common, and which of them cannot be given these.

Grey and colour may be mixed, and so may depths. An image of other channels than most have is left out by name.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
from jaxtyping import Bool, Float64, Shaped

from striate.core.spec import GREY, RGB
from striate.data.preparation.colour import admits, without_alpha

OTHER_CHANNELS = "other channels"
"""The reason for which an image is left out that has other channels than those of the data."""

_NAMED = 5  # channels


def named(channels: tuple[str, ...]) -> str:
    """Channels for a sentence: by name, or where there are many, how many."""
    return ", ".join(channels) if len(channels) <= _NAMED else f"{len(channels)} channels"


def common_channels(kinds: Shaped[np.ndarray, " n"]) -> tuple[str, ...]:
    """The channels that most of n images can be given, at least one; `kinds` are those of each, comma-separated.

    Alpha does not count. One image in colour makes grey ones colour. Of equally many, grey and colour go first.
    """
    counts: Counter[tuple[str, ...]] = Counter()
    for kind, count in zip(*np.unique(kinds, return_counts=True), strict=True):
        counts[without_alpha(tuple(kind.split(",")))] += int(count)
    if counts[GREY] and counts[RGB]:
        counts[RGB] += counts.pop(GREY)
    return max(counts, key=lambda channels: (counts[channels], channels in (GREY, RGB), channels))


def common_maximum(maxima: Float64[np.ndarray, " n"]) -> float:
    """The full intensity of the depth that most of n images have; of equally many, 16 bits before 8, floating last."""
    depths, counts = np.unique(maxima, return_counts=True)
    return float(max(zip(counts.tolist(), depths.tolist(), strict=True))[1])


def left_out(kinds: Shaped[np.ndarray, " n"], wanted: tuple[str, ...]) -> Bool[np.ndarray, " n"]:
    """Which images cannot be given the channels `wanted`; `kinds` are those of each, comma-separated."""
    names, inverse = np.unique(kinds, return_inverse=True)
    return np.array([not admits(tuple(name.split(",")), wanted) for name in names.tolist()], bool)[inverse]
