"""An image, the change of an attack, and the result, side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Int16, UInt8

from striate.plot._tiles import Tile, tiles
from striate.plot.pixels import Pixels
from striate.plot.theme import LIGHT, Theme

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MIDDLE = 128
_ROOM = 112  # largest distance from mid-grey of an amplified change


def amplified(change: Int16[np.ndarray, "h w c"]) -> tuple[Pixels, int]:
    """Draw a change around mid-grey, multiplied by a whole number; return the pixels and that number."""
    largest = int(np.abs(change).max(initial=0))
    times = max(1, _ROOM // largest) if largest else 1
    return np.clip(change.astype(np.int32) * times + _MIDDLE, 0, 255).astype(np.uint8), times


def fooling(
    before: Pixels,
    after: UInt8[np.ndarray, "rows columns k"],
    *,
    caption_before: tuple[str, ...],
    caption_after: tuple[str, ...],
    title: str = "",
    theme: Theme = LIGHT,
) -> Figure:
    """Draw the image, the amplified change and the result; state the size of the change in grey levels of 0 to 255.

    Raises:
        ValueError: the two images differ in size.
    """
    if before.shape != after.shape:
        raise ValueError(f"the images differ in size: {before.shape} and {after.shape}")
    change = after.astype(np.int16) - before
    drawn, times = amplified(change)
    root = float(np.sqrt(np.mean(np.square(change, dtype=np.float64))))
    caption = (
        f"the change, ×{times}" if times > 1 else "the change",
        f"at most {np.abs(change).max(initial=0)} of 255 grey levels, {root:.2g} in root mean square",
    )
    shown = [Tile(before, caption_before), Tile(drawn, caption), Tile(after, caption_after)]
    return tiles(shown, title=title, theme=theme)
