"""Read and undo the EXIF orientation of an image, a number from 1 to 8."""

from __future__ import annotations

import re
import struct

import numpy as np
from PIL import Image
from PIL.ExifTags import Base

_ORIENTATION_TAG = Base.Orientation.value
_SHORT = 3
_XMP = re.compile(rb'tiff:Orientation(?:="|>)([0-9])')


def orientation(exif: bytes, xmp: bytes = b"") -> int:
    """Return the orientation in a block of EXIF data, or else in a packet of XMP; 1 if neither states it.

    EXIF (CIPA DC-008, 4.6.5) is a small TIFF file; XMP is searched as in Pillow's `ImageOps.exif_transpose`. Damaged
    metadata are no reason to lose an image: they count as absent.
    """
    stated = _from_exif(exif)
    if stated is None and xmp and (match := _XMP.search(xmp)):
        stated = int(match[1])
    return stated if stated is not None and 1 <= stated <= 8 else 1


def _from_exif(exif: bytes) -> int | None:
    """Return the orientation in `exif`, whether or not it is valid; None if there is none."""
    exif = exif.removeprefix(b"Exif\0\0")
    order = {b"II": "<", b"MM": ">"}.get(exif[:2])
    if order is None:
        return None
    try:
        (start,) = struct.unpack_from(f"{order}L", exif, 4)
        (count,) = struct.unpack_from(f"{order}H", exif, start)
        for entry in range(start + 2, start + 2 + 12 * count, 12):
            tag, kind, _, value = struct.unpack_from(f"{order}HHLH", exif, entry)
            if tag == _ORIENTATION_TAG:
                return value if kind == _SHORT else _of_another_type(exif)
    except struct.error:
        pass
    return None


def _of_another_type(exif: bytes) -> int | None:
    """Return the orientation stored as a LONG, a byte, a ratio …: all the types that Pillow understands."""
    try:
        (found := Image.Exif()).load(exif)
        return int(found.get(_ORIENTATION_TAG, 1))
    except Exception:  # on damaged bytes Pillow may raise anything
        return None


def upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Turn `pixels` (h, w, c) upright: undo the transformation that `orientation` states.

    The number states where the stored first row and first column are in the upright image: 1 top and left, 2 top and
    right, 3 bottom and right, 4 bottom and left, 5 left and top, 6 right and top, 7 right and bottom, 8 left and
    bottom.
    """
    if orientation >= 5:
        pixels = pixels.transpose(1, 0, 2)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)
