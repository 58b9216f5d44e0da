"""Decode TIFFs of brightness and colour difference by the coefficients in the file, which Pillow does not read."""

from __future__ import annotations

import numpy as np
from tifffile import COMPRESSION, TiffPage

from striate.data.images.codecs.refusal import UNSUPPORTED, Refused

_COEFFICIENTS, _SUBSAMPLING, _REFERENCES = 529, 530, 532
_BT601 = (0.299, 0.587, 0.114)  # the default where the file has none, and the coefficients of libjpeg
_FULL_RANGE = (0.0, 255.0, 128.0, 255.0, 128.0, 255.0)
_JPEG = frozenset([COMPRESSION.JPEG, COMPRESSION.OJPEG])


def is_special(page: TiffPage) -> bool:
    """Return whether Pillow's colours would be wrong: it ignores the coefficients in uncompressed files and in JPEG.

    For all other compressions Pillow uses libtiff, which follows the file.
    """
    if page.compression == COMPRESSION.NONE:
        return True
    return page.compression in _JPEG and not _usual(page)


def read(page: TiffPage) -> np.ndarray:
    """Decode a page of 8 bits to RGB (h, w, 3).

    Source: TIFF 6.0, section 21 (YCbCr images) and section 20 (reference black and white).
    """
    if page.bitspersample != 8 or page.samplesperpixel != 3:
        raise Refused(UNSUPPORTED, f"a TIFF of YCbCr with {page.samplesperpixel} samples of {page.bitspersample} bits")
    values = _stored(page).astype(np.float32)
    references = np.array(_numbers(page, _REFERENCES, _FULL_RANGE), np.float32)
    black, white = references[0::2], references[1::2]
    y, cb, cr = np.moveaxis((values - black) / (white - black) * np.array([255, 127, 127], np.float32), 2, 0)
    red, green, blue = _numbers(page, _COEFFICIENTS, _BT601)
    r = y + cr * (2 - 2 * red)
    b = y + cb * (2 - 2 * blue)
    g = (y - blue * b - red * r) / green
    return np.clip(np.rint(np.stack([r, g, b], axis=2)), 0, 255).astype(np.uint8)


def _stored(page: TiffPage) -> np.ndarray:
    """Return brightness and colour differences (h, w, 3) as stored."""
    if page.compression == COMPRESSION.JPEG and page.planarconfig == 1:
        return _undecoded(page)
    if page.compression in _JPEG:  # libjpeg has converted them to RGB: invert that by its coefficients
        r, g, b = np.moveaxis(page.asarray().astype(np.float32), -1, 0)
        red, green, blue = _BT601
        y = red * r + green * g + blue * b
        return np.stack([y, (b - y) / (2 - 2 * blue) + 128, (r - y) / (2 - 2 * red) + 128], axis=2)
    if tuple(page.tags.valueof(_SUBSAMPLING, default=(2, 2))) != (1, 1):
        raise Refused(UNSUPPORTED, "a TIFF of uncompressed YCbCr with fewer samples of colour than of brightness")
    pixels = page.asarray()
    return pixels if page.axes.endswith("S") else np.moveaxis(pixels, 0, 2)


def _undecoded(page: TiffPage) -> np.ndarray:
    """Decode the JPEGs of a page without libjpeg's conversion to RGB, which would cut off colours."""
    import imagecodecs

    pixels = np.zeros((page.imagelength, page.imagewidth, 3), np.uint8)
    (height, width), across = page.chunks[:2], page.chunked[1]
    file = page.parent.filehandle
    for number, (offset, size) in enumerate(zip(page.dataoffsets, page.databytecounts, strict=True)):
        file.seek(offset)
        part = imagecodecs.jpeg8_decode(
            file.read(size), tables=page.jpegtables, colorspace="YCBCR", outcolorspace="YCBCR"
        )
        y, x = number // across * height, number % across * width
        room = pixels[y : y + height, x : x + width]
        room[...] = part[: room.shape[0], : room.shape[1]]
    return pixels


def _usual(page: TiffPage) -> bool:
    given = _numbers(page, _COEFFICIENTS, _BT601)
    return all(abs(one - usual) < 1e-3 for one, usual in zip(given, _BT601, strict=True))


def _numbers(page: TiffPage, tag: int, default: tuple[float, ...]) -> tuple[float, ...]:
    """Return the ratios of a tag as numbers."""
    stored = page.tags.valueof(tag)
    if stored is None:
        return default
    numbers = [above / below for above, below in zip(stored[0::2], stored[1::2], strict=True)]
    if len(numbers) != len(default):
        raise Refused(UNSUPPORTED, f"a TIFF of YCbCr with {len(numbers)} numbers in its tag {tag}")
    return tuple(numbers)
