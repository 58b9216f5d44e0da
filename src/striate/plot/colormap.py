"""Colormaps for amounts, for signed values, and for heat maps over an image.

All are interpolated in Oklab (B. Ottosson, "A perceptual color space for image processing", 2020), so that equal steps
of the value look equal. Lightness alone gives the order, so they can be printed in grey.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, UInt8

_TO_LMS = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
_TO_LAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)


@dataclass(frozen=True)
class Colormap:
    """Colours (as `#rrggbb`) at even steps, interpolated between them."""

    name: str
    anchors: tuple[str, ...]

    def __call__(self, values: Float[np.ndarray, ...]) -> UInt8[np.ndarray, "... 3"]:
        """Map values from 0 to 1 to colours; values outside map to the nearer end, NaN to the first colour."""
        lab = _oklab(np.array([_rgb(anchor) for anchor in self.anchors]))
        place = np.clip(np.nan_to_num(values), 0.0, 1.0)
        at = np.linspace(0.0, 1.0, len(self.anchors))
        mixed = np.stack([np.interp(place, at, lab[:, axis]) for axis in range(3)], axis=-1)
        return np.rint(_srgb(mixed) * 255).astype(np.uint8)


AMOUNT = Colormap("amount", ("#fbfaf6", "#b9dcd3", "#58ab9d", "#0f7467", "#063d3a"))
"""From paper (0) to deep teal (1)."""

SIGNED = Colormap("signed", ("#123f6b", "#5b95c4", "#f7f5f0", "#dd8358", "#7e2a0c"))
"""Blue for negative, paper for zero (at 0.5), vermilion for positive."""

AMOUNT_ON_DARK = Colormap("amount on dark", ("#1b1b1e", "#1e4844", "#298478", "#69c6b5", "#e4fbf4"))
SIGNED_ON_DARK = Colormap(
    "signed on dark", ("#9cc8f2", "#4e85b8", "#314f6c", "#1b1b1e", "#643929", "#bf633a", "#ffb893")
)
"""The same on dark paper: larger magnitudes are lighter."""

HEAT = Colormap("heat", ("#0d0b1a", "#3f1851", "#8f2e5f", "#c05051", "#e47943", "#f7b454", "#fdf3c0"))
"""From dark through red to light, for heat maps over an image."""


def signed(
    values: Float[np.ndarray, ...], *, largest: float | None = None, colormap: Colormap = SIGNED
) -> UInt8[np.ndarray, "... 3"]:
    """Map signed values to colours: zero to the middle, ±`largest` (by default the largest magnitude) to the ends."""
    reach = largest if largest is not None else float(np.abs(values).max(initial=0.0))
    return colormap(values / (2 * reach) + 0.5 if reach else np.full_like(values, 0.5))


def _rgb(colour: str) -> list[float]:
    return [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]


def _oklab(srgb: Float[np.ndarray, "... 3"]) -> Float[np.ndarray, "... 3"]:
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    return np.cbrt(linear @ _TO_LMS.T) @ _TO_LAB.T


def _srgb(lab: Float[np.ndarray, "... 3"]) -> Float[np.ndarray, "... 3"]:
    linear = (lab @ np.linalg.inv(_TO_LAB).T) ** 3 @ np.linalg.inv(_TO_LMS).T
    linear = np.clip(linear, 0.0, 1.0)
    return np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)
