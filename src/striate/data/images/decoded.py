"""A decoded picture: pixels as they were stored, upright, with the meaning of each channel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, UInt8, UInt16

from striate.core.spec import GREY, RGB

ALPHA = "alpha"
NOTED = "; note: "
"""What stands between the mode of an image and its note where both are told in one."""

Pixels = UInt8[np.ndarray, "h w c"] | UInt16[np.ndarray, "h w c"] | Float32[np.ndarray, "h w c"]
ManyPixels = UInt8[np.ndarray, "n h w c"] | UInt16[np.ndarray, "n h w c"] | Float32[np.ndarray, "n h w c"]

CHANNELS_OF_MODE = {"L": GREY, "LA": (*GREY, ALPHA), "RGB": RGB, "RGBA": (*RGB, ALPHA)}

_MAXIMUM = {np.dtype(np.uint8): 255.0, np.dtype(np.uint16): 65535.0, np.dtype(np.float32): 1.0}


@dataclass(frozen=True, eq=False)
class Picture:
    """One picture after decoding and before preparation.

    `pixels` are in the depth in which they were stored. `channels` says what each channel is: `("grey",)`,
    `("red", "green", "blue")`, either with `"alpha"` behind it, or names of the data's own (`"channel1"` …).
    `original` is the upright full size (height, width), also where a JPEG was decoded at a fraction of it.
    `orientation` is the EXIF orientation, 1 to 8, that was undone. `mode` is how the file held it: `"JPEG CMYK"`.
    `note` says what is wrong with the file though every pixel is read, else "".
    `prepared` names the grid for which the file says it is already prepared (`data.preparation.prepared`), else "".
    """

    pixels: Pixels
    channels: tuple[str, ...]
    original: tuple[int, int]
    orientation: int = 1
    mode: str = ""
    prepared: str = ""
    note: str = ""

    @property
    def maximum(self) -> float:
        """The stored value that means full intensity."""
        return full_intensity(self.pixels.dtype)


def full_intensity(dtype: np.dtype) -> float:
    """The stored value that means full intensity: 255 for 8 bits, 65535 for 16, 1 for floating numbers."""
    return _MAXIMUM[np.dtype(dtype)]


def channel_names(count: int) -> tuple[str, ...]:
    """What `count` channels are called where the data do not say: grey, RGB, or `channel1`, `channel2` …"""
    if count == len(GREY):
        return GREY
    if count == len(RGB):
        return RGB
    return tuple(f"channel{number}" for number in range(1, count + 1))
