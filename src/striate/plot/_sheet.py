"""Grids of small images; weights and activation maps as images."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float, UInt8

from striate.plot.colormap import signed
from striate.plot.theme import LIGHT, Theme


def sheet(
    images: UInt8[np.ndarray, "n h w 3"], *, columns: int | None = None, gap: int = 1, paper: int = 255
) -> UInt8[np.ndarray, "height width 3"]:
    """Lay `images` out row by row, `gap` pixels apart, on paper of one grey level; by default as square as possible."""
    count, height, width, _ = images.shape
    across = columns or math.ceil(math.sqrt(count))
    down = math.ceil(count / across)
    canvas = np.full((down * (height + gap) - gap, across * (width + gap) - gap, 3), paper, dtype=np.uint8)
    for place, pixels in enumerate(images):
        top, left = place // across * (height + gap), place % across * (width + gap)
        canvas[top : top + height, left : left + width] = pixels
    return canvas


def filter_images(weights: Float[np.ndarray, "n c h w"]) -> UInt8[np.ndarray, "n h width 3"]:
    """Draw each filter as an image, all on one scale.

    A filter of three channels is drawn in their colours, with zero as mid-grey. Otherwise the channels are drawn in
    `signed` colours, side by side with a pixel between them (`width` = c · w + c - 1).
    """
    largest = float(np.abs(weights).max(initial=0.0))
    if weights.shape[1] == 3:
        unit = weights / (2 * largest) + 0.5 if largest else np.full_like(weights, 0.5)
        return np.rint(unit.transpose(0, 2, 3, 1) * 255).astype(np.uint8)
    count, channels, height, width = weights.shape
    strip = np.zeros((count, height, channels * (width + 1) - 1), dtype=weights.dtype)
    for channel in range(channels):
        strip[:, :, channel * (width + 1) : channel * (width + 1) + width] = weights[:, channel]
    return signed(strip, largest=largest)


def map_images(maps: Float[np.ndarray, "n h w"], *, theme: Theme = LIGHT) -> UInt8[np.ndarray, "n h w 3"]:
    """Draw each activation map on its own scale, from 0 (paper) to its largest value.

    A map with negative values is drawn in signed colours.
    """
    drawn = []
    for values in maps:
        largest = float(np.abs(values).max(initial=0.0))
        if values.min(initial=0.0) < 0:
            drawn.append(signed(values, colormap=theme.signed))
        else:
            drawn.append(theme.amount(values / largest if largest else values))
    return np.stack(drawn) if drawn else np.zeros((*maps.shape, 3), dtype=np.uint8)
