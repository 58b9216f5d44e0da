"""Visible content of an image, independent of its storage: the form in which images are compared."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32, UInt8, UInt16

from striate.core.spec import GREY, RGB
from striate.data.images.decoded import ALPHA, Pixels, by_rows, full_intensity
from striate.data.preparation.colour import lay_over, without_alpha

Seen = UInt8[np.ndarray, "h w k"] | UInt16[np.ndarray, "h w k"] | Float32[np.ndarray, "h w k"]

_BACKGROUND = 1.0  # white: the default of `InputSpec.background`
_FINEST = 65535
_ROUNDING = 1e-6  # relative: by less than this float32 misses a multiple of 1/65535 or 1/255
_GLANCE = 16  # rows that are checked first, so that most images need no check of all rows


def visible(pixels: Pixels, channels: tuple[str, ...]) -> tuple[Seen, tuple[str, ...]]:
    """Convert `pixels` to the simplest form that shows the same: opaque, grey if no pixel has a colour, least depth.

    Alpha is blended over white, the default of `InputSpec.background`. Equal red, green and blue become grey. 16-bit
    and floating values become 8-bit ones (or floating ones 16-bit) where that loses nothing. An image that is simple
    already is not copied.
    """
    if ALPHA in channels:
        pixels, channels = _opaque(pixels, channels), without_alpha(channels)
    if channels == RGB and _is_grey(pixels[:: max(1, len(pixels) // _GLANCE)]) and _is_grey(pixels):
        pixels, channels = pixels[:, :, :1], GREY
    return _least_depth(pixels), channels


def is_simple(dtype: np.dtype, channels: tuple[str, ...]) -> bool:
    """Return whether `visible` returns every image of this form as it is."""
    return dtype == np.uint8 and channels != RGB and ALPHA not in channels


def _opaque(pixels: Pixels, channels: tuple[str, ...]) -> Seen:
    place = channels.index(ALPHA)
    if (pixels[:, :, place] == full_intensity(pixels.dtype)).all():
        return np.delete(pixels, place, axis=2)
    return lay_over(pixels[None], channels, _BACKGROUND)[0]


def _is_grey(pixels: Seen) -> bool:
    return bool((pixels[:, :, :1] == pixels[:, :, 1:]).all())


def _least_depth(pixels: Seen) -> Seen:
    if pixels.dtype == np.float32:
        if not (pixels.min() >= 0 and pixels.max() <= 1):
            return pixels
        levels = pixels * np.float32(_FINEST)
        whole = np.rint(levels)
        if (np.abs(levels - whole) > _ROUNDING * levels).any():
            return pixels
        pixels = whole.astype(np.uint16)
    if pixels.dtype == np.uint16:
        if by_rows(lambda part: part % np.uint16(257) > 0, pixels[None]).any():
            return pixels
        return by_rows(lambda part: (part // np.uint16(257)).astype(np.uint8), pixels[None])[0]
    return pixels
