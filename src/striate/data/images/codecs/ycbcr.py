"""TIFFs of brightness and colour difference: by the coefficients that the file gives, which Pillow does not ask for."""

from __future__ import annotations

import numpy as np
from tifffile import COMPRESSION, TiffPage

from striate.data.images.codecs.refusal import UNSUPPORTED, Refused

_COEFFICIENTS, _SUBSAMPLING, _REFERENCES = 529, 530, 532
_BT601 = (0.299, 0.587, 0.114)  # what stands in for missing ones, and what libjpeg always takes
_FULL_RANGE = (0.0, 255.0, 128.0, 255.0, 128.0, 255.0)
_JPEG = frozenset([COMPRESSION.JPEG, COMPRESSION.OJPEG])


def is_special(page: TiffPage) -> bool:
    """Whether Pillow would show other colours: without compression it takes those of JPEG, and in a JPEG libjpeg does.

    libtiff, through which Pillow reads all other compressions, follows the file.
    """
    if page.compression == COMPRESSION.NONE:
        return True
    return page.compression in _JPEG and not _usual(page)


def read(page: TiffPage) -> np.ndarray:
    """RGB (h, w, 3) of a page of 8 bits (TIFF 6.0, section 21: YCbCr images; section 20: reference black and white)."""
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
    """Brightness and colour differences (h, w, 3), as they are stored."""
    if page.compression in _JPEG:  # libjpeg has made RGB of them: back by the coefficients that it takes
        r, g, b = np.moveaxis(page.asarray().astype(np.float32), -1, 0)
        red, green, blue = _BT601
        y = red * r + green * g + blue * b
        return np.stack([y, (b - y) / (2 - 2 * blue) + 128, (r - y) / (2 - 2 * red) + 128], axis=2)
    if tuple(page.tags.valueof(_SUBSAMPLING, default=(2, 2))) != (1, 1):
        raise Refused(UNSUPPORTED, "a TIFF of uncompressed YCbCr with fewer samples of colour than of brightness")
    pixels = page.asarray()
    return pixels if page.axes.endswith("S") else np.moveaxis(pixels, 0, 2)


def _usual(page: TiffPage) -> bool:
    given = _numbers(page, _COEFFICIENTS, _BT601)
    return all(abs(one - usual) < 1e-3 for one, usual in zip(given, _BT601, strict=True))


def _numbers(page: TiffPage, tag: int, default: tuple[float, ...]) -> tuple[float, ...]:
    """The ratios of a tag as numbers."""
    stored = page.tags.valueof(tag)
    if stored is None:
        return default
    numbers = [above / below for above, below in zip(stored[0::2], stored[1::2], strict=True)]
    if len(numbers) != len(default):
        raise Refused(UNSUPPORTED, f"a TIFF of YCbCr with {len(numbers)} numbers in its tag {tag}")
    return tuple(numbers)
