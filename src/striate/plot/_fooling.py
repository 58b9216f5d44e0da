"""A picture, the change that fools a network, and the result, side by side."""

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
_ROOM = 112  # how far from mid-grey the largest change is drawn at most


def amplified(change: Int16[np.ndarray, "h w c"]) -> tuple[Pixels, int]:
    """A change of pixels around mid-grey, multiplied by a whole number so that its largest part is plain to see; and
    that number."""
    largest = int(np.abs(change).max(initial=0))
    times = max(1, _ROOM // largest) if largest else 1
    return np.clip(change.astype(np.int32) * times + _MIDDLE, 0, 255).astype(np.uint8), times


def fooling(
    before: Pixels,
    after: UInt8[np.ndarray, "rows columns k"],
    *,
    said_before: tuple[str, ...],
    said_after: tuple[str, ...],
    title: str = "",
    theme: Theme = LIGHT,
) -> Figure:
    """The picture, the change and the result; under the change stands how large it is and how much it is amplified.

    The change is in grey levels, of 0 to 255.

    Raises:
        ValueError: the two pictures are not of one size.
    """
    if before.shape != after.shape:
        raise ValueError(f"the pictures differ in size: {before.shape} and {after.shape}")
    change = after.astype(np.int16) - before
    drawn, times = amplified(change)
    root = float(np.sqrt(np.mean(np.square(change, dtype=np.float64))))
    told = (
        f"the change, ×{times}" if times > 1 else "the change, as it is",
        f"at most {np.abs(change).max(initial=0)} of 255 grey levels, {root:.2g} in root mean square",
    )
    shown = [Tile(before, said_before), Tile(drawn, told), Tile(after, said_after)]
    return tiles(shown, title=title, theme=theme)
