"""Which way up an image is: the EXIF orientation, a number from 1 to 8, wherever a file states it."""

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
    """The orientation in a block of EXIF data, and where that has none, the one in a packet of XMP; else 1.

    EXIF (CIPA DC-008, 4.6.5) is a small TIFF file; XMP is searched as Pillow's `ImageOps.exif_transpose` searches it.
    Damaged metadata are no reason to lose an image: they count as saying nothing.
    """
    stated = _from_exif(exif)
    if stated is None and xmp and (match := _XMP.search(xmp)):
        stated = int(match[1])
    return stated if stated is not None and 1 <= stated <= 8 else 1


def _from_exif(exif: bytes) -> int | None:
    """The orientation in `exif`, whether or not it makes sense; None where there is none."""
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
    """The orientation that is stored as a LONG, a byte, a ratio …: all the types that Pillow understands."""
    try:
        (found := Image.Exif()).load(exif)
        return int(found.get(_ORIENTATION_TAG, 1))
    except Exception:  # on damaged bytes Pillow may raise anything
        return None


def upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """`pixels` (h, w, c) as they are to be seen: what `orientation` says was done to them is undone.

    The number tells where the stored first row and first column lie in the upright picture: 1 top and left, 2 top and
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
