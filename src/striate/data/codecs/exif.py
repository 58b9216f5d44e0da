"""The EXIF orientation: how the camera was held, as a number from 1 to 8."""

from __future__ import annotations

import struct

import numpy as np

_ORIENTATION_TAG = 0x0112
_SHORT = 3


def orientation(exif: bytes) -> int:
    """The orientation in a block of EXIF data (CIPA DC-008, 4.6.5), which is a small TIFF file; 1 if it says nothing.

    Damaged EXIF data are no reason to lose a picture: they count as saying nothing.
    """
    exif = exif.removeprefix(b"Exif\0\0")
    order = {b"II": "<", b"MM": ">"}.get(exif[:2])
    if order is None:
        return 1
    try:
        (start,) = struct.unpack_from(f"{order}L", exif, 4)
        (count,) = struct.unpack_from(f"{order}H", exif, start)
        for entry in range(start + 2, start + 2 + 12 * count, 12):
            tag, kind, _, value = struct.unpack_from(f"{order}HHLH", exif, entry)
            if tag == _ORIENTATION_TAG and kind == _SHORT and 1 <= value <= 8:
                return value
    except struct.error:
        pass
    return 1


def jpeg_exif(data: bytes) -> bytes:
    """The EXIF block of a JPEG: its first APP1 segment that begins with `Exif`; empty if there is none.

    Segments are read up to the start of the scan; each is a marker of two bytes and a length that counts itself.
    """
    position = 2
    while position + 4 <= len(data) and data[position] == 0xFF:
        marker, length = data[position + 1], int.from_bytes(data[position + 2 : position + 4], "big")
        if marker == 0xFF:  # a filling byte before the marker
            position += 1
            continue
        if marker == 0xDA:
            break
        content = data[position + 4 : position + 2 + length]
        if marker == 0xE1 and content.startswith(b"Exif\0\0"):
            return content
        position += 2 + length
    return b""


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
