"""An image, the change of an attack, and the result, side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Shaped, UInt8

from striate.plot._tiles import Tile, tiles
from striate.plot.pixels import Pixels
from striate.plot.theme import LIGHT, Theme

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MIDDLE = 128
_ROOM = 112  # largest distance from mid-grey of an amplified change


def amplified(change: Shaped[np.ndarray, "h w c"]) -> tuple[Pixels, int]:
    """Draw a change around mid-grey, multiplied by a whole number; return the pixels and that number."""
    largest = np.abs(change).max(initial=0)
    times = max(1, int(_ROOM // largest)) if largest else 1
    return np.clip(np.rint(change * times) + _MIDDLE, 0, 255).astype(np.uint8), times


def fooling(
    before: Pixels,
    after: UInt8[np.ndarray, "rows columns k"],
    change: Float[np.ndarray, "rows columns k"],
    *,
    caption_before: tuple[str, ...],
    caption_after: tuple[str, ...],
    title: str = "",
    theme: Theme = LIGHT,
) -> Figure:
    """Draw the image, the amplified change and the result; state the size of the change in grey levels of 0 to 255.

    The `change` is given, since that of a 16-bit image is finer than the pixels of 8 bits that are drawn.

    Raises:
        ValueError: the images and the change differ in size.
    """
    if not before.shape == after.shape == change.shape:
        raise ValueError(f"the images and the change differ in size: {before.shape}, {after.shape} and {change.shape}")
    drawn, times = amplified(change)
    root = float(np.sqrt(np.mean(np.square(change))))
    caption = (
        f"the change, ×{times}" if times > 1 else "the change",
        f"at most {np.abs(change).max(initial=0):.3g} of 255 grey levels, {root:.2g} in root mean square",
    )
    shown = [Tile(before, caption_before), Tile(drawn, caption), Tile(after, caption_after)]
    return tiles(shown, title=title, theme=theme)
