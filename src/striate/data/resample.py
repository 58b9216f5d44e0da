"""The second third of preparation: pixels onto another grid."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float32, UInt8, UInt16
from torch.nn import functional as F

from striate.core.spec import Filter
from striate.data.picture import ManyPixels, full_intensity

Resized = (
    UInt8[np.ndarray, "n {height} {width} c"]
    | UInt16[np.ndarray, "n {height} {width} c"]
    | Float32[np.ndarray, "n {height} {width} c"]
)


def resize(pixels: ManyPixels, height: int, width: int, *, filter: Filter, antialias: bool) -> Resized:
    """`pixels` resampled to `height` × `width`, in their own depth; rounded to the nearest value, and never beyond it.

    With `antialias` the filter is widened by the factor of shrinking, as in Pillow (of which `nearest` has no such
    form). 8-bit pictures of up to four channels take torch's vectorised whole-number path, which runs on the calling
    thread alone, so many threads may do this at once.
    """
    if pixels.shape[1:3] == (height, width):
        return pixels
    if filter == "nearest":
        return pixels[:, _nearest(pixels.shape[1], height)][:, :, _nearest(pixels.shape[2], width)]
    exact = pixels.dtype == np.uint8
    source = np.require(pixels if exact else pixels.astype(np.float32), requirements=("C", "W"))
    resized = F.interpolate(
        torch.from_numpy(source).permute(0, 3, 1, 2), (height, width), mode=filter, antialias=antialias
    )
    result = resized.permute(0, 2, 3, 1).numpy()
    if pixels.dtype == np.uint16:
        return np.clip(np.rint(result), 0, full_intensity(pixels.dtype)).astype(np.uint16)
    return result


def _nearest(before: int, after: int) -> np.ndarray:
    """The old pixel under the centre of each new one."""
    return ((2 * np.arange(after) + 1) * before) // (2 * after)
