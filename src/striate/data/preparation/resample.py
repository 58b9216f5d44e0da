"""Resample images to another size."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float32, UInt8, UInt16
from PIL import Image
from torch.nn import functional as F

from striate.core.spec import Filter, Resampler
from striate.data.images.decoded import ManyPixels, full_intensity
from striate.data.preparation.window import resample_window

Resized = (
    UInt8[np.ndarray, "n rows columns c"]
    | UInt16[np.ndarray, "n rows columns c"]
    | Float32[np.ndarray, "n rows columns c"]
)

_AFFORDABLE = 1 << 26  # values of an image between or after the two passes of a resize
_LONGEST = 1 << 20  # pixels of a side: torch keeps a table of all weights along it
_COLOURS = 3  # channels of an image in colour
_WHOLE = slice(None)


def resize(
    pixels: ManyPixels,
    height: int,
    width: int,
    *,
    filter: Filter,
    antialias: bool,
    resampler: Resampler = "torch",
    rows: slice = _WHOLE,
    columns: slice = _WHOLE,
) -> Resized:
    """Resample `pixels` to `height` × `width` and return the window `rows` × `columns`, in their own depth.

    Values are rounded to the nearest level and clipped to the depth. With `antialias` the filter is widened by the
    factor of shrinking, as in Pillow (`nearest` has no such form). 8-bit images of up to four channels take torch's
    vectorised integer path, which runs on the calling thread alone, so that many threads may resize at once; with the
    `resampler` `pillow`, images are resized by Pillow, to its bits. An image so long and thin that its enlargement
    would fill the memory is computed within the window only (`striate.data.preparation.window`), to within a level or
    two.
    """
    if pixels.shape[1:3] == (height, width):
        return pixels[:, rows, columns]
    largest = max(pixels.shape[1], height) * width * pixels.shape[3]
    affordable = largest <= _AFFORDABLE and max(pixels.shape[1:3]) <= _LONGEST
    if resampler == "pillow" and affordable:
        return np.stack([_by_pillow(image, (width, height), filter) for image in pixels])[:, rows, columns]
    if filter == "nearest":
        return pixels[:, _nearest(pixels.shape[1], height, rows)][:, :, _nearest(pixels.shape[2], width, columns)]
    exact = pixels.dtype == np.uint8
    # torch's filter in floating numbers errs along a single column.
    if not affordable or (width == 1 and not exact):
        ranges = range(height)[rows], range(width)[columns]
        return _in_depth(resample_window(pixels, (height, width), ranges, filter, antialias), pixels.dtype)
    source = np.require(pixels if exact else pixels.astype(np.float32), requirements=("C", "W"))
    resized = F.interpolate(
        torch.from_numpy(source).permute(0, 3, 1, 2), (height, width), mode=filter, antialias=antialias
    )
    result = resized.permute(0, 2, 3, 1).numpy()[:, rows, columns]
    return result if exact else _in_depth(result, pixels.dtype)


def _by_pillow(image: np.ndarray, size: tuple[int, int], filter: Filter) -> np.ndarray:
    """Resize an 8-bit image (h, w, c) to `size` (width, height): colours at once, other channels one by one."""
    kind = Image.Resampling[filter.upper()]
    if image.shape[2] == _COLOURS:
        return np.asarray(Image.fromarray(image).resize(size, kind))
    channels = [np.asarray(Image.fromarray(image[..., i]).resize(size, kind)) for i in range(image.shape[2])]
    return np.stack(channels, axis=-1)


def _in_depth(values: np.ndarray, dtype: np.dtype) -> Resized:
    if dtype == np.float32:
        return values.astype(np.float32, copy=False)
    return np.clip(np.rint(values), 0, full_intensity(dtype)).astype(dtype)


def _nearest(before: int, after: int, window: slice) -> np.ndarray:
    """Return the old pixel under the centre of each new one of `window`."""
    new = range(after)[window]
    return ((2 * np.arange(new.start, new.stop) + 1) * before) // (2 * after)
