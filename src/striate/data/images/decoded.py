"""A decoded image: pixels as they were stored, upright, with the meaning of each channel."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, UInt8, UInt16

from striate.core.geometry import Placement, place
from striate.core.spec import GREY, RGB, InputSpec

ALPHA = "alpha"
NOTED = "; note: "
"""The separator between the mode of an image and its note in one text."""

Pixels = UInt8[np.ndarray, "h w c"] | UInt16[np.ndarray, "h w c"] | Float32[np.ndarray, "h w c"]
ManyPixels = UInt8[np.ndarray, "n h w c"] | UInt16[np.ndarray, "n h w c"] | Float32[np.ndarray, "n h w c"]

CHANNELS_OF_MODE = {"L": GREY, "LA": (*GREY, ALPHA), "RGB": RGB, "RGBA": (*RGB, ALPHA)}

_AT_ONCE = 1 << 18  # pixels

_MAXIMUM = {np.dtype(np.uint8): 255.0, np.dtype(np.uint16): 65535.0, np.dtype(np.float32): 1.0}


@dataclass(frozen=True, eq=False)
class DecodedImage:
    """One image after decoding and before preparation.

    `pixels` are in the depth in which they were stored. `channels` names each channel: `("grey",)`,
    `("red", "green", "blue")`, either followed by `"alpha"`, or the data's own names (`"channel1"` …).
    `original` is the upright full size (height, width), also where a JPEG was decoded at a fraction of it.
    `orientation` is the EXIF orientation, 1 to 8, that was undone. `mode` is the storage in the file: `"JPEG CMYK"`.
    `note` describes an error of the file that costs no pixel, else "".
    `prepared` is the `prepared_tag` in the file: the grid for which it is already prepared, else "".
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

    def is_prepared_for(self, spec: InputSpec) -> bool:
        """Return whether the image is tagged as prepared for a grid like that of `spec`, and has its size.

        An adversarial image lies on the input grid of a model; resized and cropped again it would be another image.
        A program that has resized or rotated the file may have kept the tag: the image is then prepared as usual.
        """
        return self.prepared == prepared_tag(spec) and self.original == spec.size and self.orientation == 1

    def placement(self, spec: InputSpec) -> Placement:
        """Return the placement of the image on the input grid of `spec`: unchanged if it is prepared."""
        if self.is_prepared_for(spec):
            return Placement(spec.size, spec.size, (0, 0))
        return place(spec, *self.original)


def prepared_tag(spec: InputSpec) -> str:
    """Return the tag of images prepared for `spec`: size and channels of the grid."""
    return f"{spec.height}x{spec.width} {','.join(spec.channels)}"


def full_intensity(dtype: np.dtype) -> float:
    """Return the stored value of full intensity: 255 for 8 bits, 65535 for 16, 1 for floating numbers."""
    return _MAXIMUM[np.dtype(dtype)]


def by_rows(change: Callable[[np.ndarray], np.ndarray], pixels: np.ndarray) -> np.ndarray:
    """Apply `change` to `pixels` (n, h, w, c), some rows at a time, so that its temporary arrays stay small.

    `change` computes each row alone, and keeps their number and width.
    """
    rows = max(1, _AT_ONCE // max(1, pixels.shape[0] * pixels.shape[2]))
    if rows >= pixels.shape[1]:
        return change(pixels)
    first = change(pixels[:, :rows])
    changed = np.empty((*pixels.shape[:2], *first.shape[2:]), first.dtype)
    changed[:, :rows] = first
    for start in range(rows, pixels.shape[1], rows):
        changed[:, start : start + rows] = change(pixels[:, start : start + rows])
    return changed
