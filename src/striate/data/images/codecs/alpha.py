"""Premultiplied alpha: colours that are stored multiplied by their opacity."""

from __future__ import annotations

import numpy as np

from striate.data.images.decoded import by_rows, full_intensity


def straight(pixels: np.ndarray) -> np.ndarray:
    """Divide the colours of `pixels` (h, w, c) by the last channel, alpha; transparent pixels stay unchanged."""
    return by_rows(_straight, pixels[None])[0]


def _straight(pixels: np.ndarray) -> np.ndarray:
    full = full_intensity(pixels.dtype)
    alpha = pixels[..., -1:].astype(np.float32)
    colours = pixels[..., :-1].astype(np.float32) * np.divide(full, alpha, out=np.ones_like(alpha), where=alpha > 0)
    if pixels.dtype != np.float32:
        colours = np.rint(np.minimum(colours, full))
    return np.concatenate([colours.astype(pixels.dtype), pixels[..., -1:]], axis=-1)
