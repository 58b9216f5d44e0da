"""Masks of a user, resampled to a network's input like their image."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool
from PIL import Image, ImageOps

from striate.core.errors import DataError
from striate.data.images.decode import decode
from striate.reporting.sheets.input_image import Answered, Subject


def mask_on_input(mask: Any, subject: Answered) -> Bool[np.ndarray, "h w"]:
    """Return which pixels of the network's input have their centre on the mask.

    `mask` has the size of the upright image or of the input: a boolean array (h, w), or the path of an image, a PIL
    image or an array of numbers, where other values than 0 are marked: colours other than black that are not
    transparent. Of 2 or 4 channels the last is alpha.

    Raises:
        DataError: it has neither size.
    """
    marked = _marked(mask)
    size = (subject.images.shape[2], subject.images.shape[3])
    if isinstance(subject, Subject) and marked.shape == subject.placement.original:
        rows, columns = (_sampled(subject, axis, size[axis], marked.shape[axis]) for axis in (0, 1))
        inside = np.outer(rows >= 0, columns >= 0)
        return marked[np.maximum(rows, 0)][:, np.maximum(columns, 0)] & inside
    if marked.shape == size:
        return marked
    original = f"{subject.placement.original} as the image, or " if isinstance(subject, Subject) else ""
    raise DataError(f"A mask has the size (h, w) {original}{size} as the network's input; received {marked.shape}.")


def _marked(mask: Any) -> Bool[np.ndarray, "h w"]:
    if isinstance(mask, (str, Path)):
        values = decode(Path(mask)).pixels
    elif isinstance(mask, Image.Image):
        upright = ImageOps.exif_transpose(mask)
        plain = upright.mode[0] in "1LIF" and not upright.has_transparency_data
        values = np.asarray(upright if plain else upright.convert("RGBA"))  # looks palettes up, as `decode` does
    else:
        values = np.asarray(mask)
    if values.ndim == 3:
        channels = values.shape[2]
        values = values[..., :-1].any(axis=2) & (values[..., -1] != 0) if channels in (2, 4) else values.any(axis=2)
    if values.ndim != 2:
        raise DataError(f"A mask is a boolean array (h, w) or an image; received an array of shape {values.shape}.")
    return values != 0


def _sampled(subject: Subject, axis: int, count: int, length: int) -> np.ndarray:
    """Return the row (or column) of the image at the centre of each one of the input; -1 for padding."""
    points = [subject.placement.to_original(place + 0.5, place + 0.5)[axis] for place in range(count)]
    found = np.floor(points).astype(int)
    return np.where((found >= 0) & (found < length), found, -1)
