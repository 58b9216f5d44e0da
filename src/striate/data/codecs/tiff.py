"""TIFF: ordinary ones through Pillow; deep, floating and many-channel ones through tifffile."""

from __future__ import annotations

import dataclasses
import io
import logging
import math
from collections.abc import Iterable

import numpy as np
from tifffile import TiffFile, TiffFrame, TiffPage, TiffPageSeries

from striate.core.spec import GREY, RGB
from striate.data.codecs import exif, pillow
from striate.data.codecs.refusal import DAMAGED, TRUNCATED, UNSUPPORTED, Refused, check_size
from striate.data.picture import ALPHA, Picture, channel_names

_ORIENTATION_TAG, _XMP_TAG, _PROFILE_TAG = 274, 700, 34675
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE, _INKS, _YCBCR = 0, 1, 2, 3, 5, 6
_COLOURS = {_WHITE_IS_ZERO: 1, _BLACK_IS_ZERO: 1, _RGB: 3, _PALETTE: 1, _INKS: 4, _YCBCR: 3}  # samples of a pixel
_ACROSS_PAGES = frozenset("CQ")  # channels, and the unnamed dimension of an array that was written as one whole
_ALPHAS = (1, 2)  # the kinds of extra sample that are transparency, premultiplied or not

# tifffile reports each oddity of a damaged file to its log; what matters of it is in the reason of the refusal.
logging.getLogger("tifffile").addHandler(logging.NullHandler())


def read(data: bytes) -> Picture:
    """Decode the first picture of a TIFF.

    Which of the dimensions of a scientific file are channels follows tifffile's names of its axes: samples and
    channels are, and so is the unnamed dimension of an array that was written as one whole. Of pages, planes in depth
    and moments in time the first is taken, and only that has to be whole.
    """
    try:
        with TiffFile(io.BytesIO(data)) as file:
            series = file.series[0]
            page = series.keyframe
            check_size(page.imagelength, page.imagewidth, page.samplesperpixel)
            turned = _orientation(page)
            _check_announced(file, series)
            planes = set(series.axes) & _ACROSS_PAGES - set(page.axes)
            _check_complete(series.pages if planes else [page], len(data))
            if not _is_ordinary(page, bool(planes)):
                return _read_array(series if planes else page, page, turned)
    except (Refused, MemoryError):
        raise
    except Exception as error:  # on damaged bytes a decoder may raise anything; all of it means the same
        raise _refusal(error) from error
    # Pillow has turned it upright by then: the only kind for which it does.
    return dataclasses.replace(pillow.read(data, "TIFF"), orientation=turned)


def _orientation(page: TiffPage) -> int:
    """The tag of the page, of whatever whole type; where it has none, the orientation in XMP."""
    stated = page.tags.valueof(_ORIENTATION_TAG)
    if stated is None:
        packet = page.tags.valueof(_XMP_TAG, default=b"")
        return exif.orientation(b"", packet if isinstance(packet, bytes) else str(packet).encode())
    stated = stated[0] if isinstance(stated, bytes) and stated else stated
    return stated if isinstance(stated, int) and 1 <= stated <= 8 else 1


def _refusal(error: Exception) -> Refused:
    message = str(error)
    if isinstance(error, ImportError) or "requires the 'imagecodecs'" in message:
        return Refused(UNSUPPORTED, "its compression needs imagecodecs: pip install 'striate[scientific]'")
    return Refused(TRUNCATED if "failed to read" in message else DAMAGED, message)


def _check_announced(file: TiffFile, series: TiffPageSeries) -> None:
    """A file that says of which shape its array is must hold all of it; tifffile makes do with the pages it finds."""
    for description in (file.shaped_metadata or ())[:1]:
        if math.prod(description["shape"]) != series.size:
            raise Refused(TRUNCATED, "pages that it announces are missing")


def _check_complete(pages: Iterable[TiffPage | TiffFrame | None], length: int) -> None:
    """Every strip or tile must lie inside the file: a decoder may fill what is missing with zeros, or with grey."""
    for page in pages:
        if page is None or not page.dataoffsets:
            raise Refused(TRUNCATED, "it has no pixels")
        for offset, count in zip(page.dataoffsets, page.databytecounts, strict=True):
            if count == 0 or offset + count > length:
                raise Refused(TRUNCATED, "parts of its pixels lie beyond its end")


def _is_ordinary(page: TiffPage, planes: bool) -> bool:
    """Whether Pillow reads it as it is: one page of at most 8 bits, of colours it knows and at most one alpha."""
    colours = _COLOURS.get(page.photometric)
    return (
        not planes
        and colours is not None
        and page.dtype is not None
        and page.dtype.kind in "bu"
        and page.bitspersample <= 8
        and page.samplesperpixel - colours == _alphas(page) <= (page.photometric in (_BLACK_IS_ZERO, _RGB))
    )


def _alphas(page: TiffPage) -> int:
    return sum(kind in _ALPHAS for kind in page.extrasamples)


def _read_array(stored: TiffPage | TiffPageSeries, page: TiffPage, orientation: int) -> Picture:
    if page.photometric not in (_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB):
        raise Refused(UNSUPPORTED, f"a TIFF of kind {page.photometric!r} and {page.bitspersample} bits")
    height, width = (stored.shape[stored.axes.index(axis)] for axis in "YX")
    check_size(height, width, stored.size // (height * width))
    pixels = _depth(_channels_last(stored.asarray(), stored.axes))
    if page.photometric == _WHITE_IS_ZERO and pixels.dtype != np.float32:
        pixels = np.iinfo(pixels.dtype).max - pixels
    mode = f"TIFF {pixels.shape[2]}×{page.dtype}"
    names = _names(page, pixels.shape[2])
    pixels = exif.upright(pixels, orientation)
    return Picture(pixels, names, pixels.shape[:2], orientation, mode)


def _channels_last(array: np.ndarray, axes: str) -> np.ndarray:
    """(h, w, c): the axes S, C and Q become the channels, in the order of the file; of any other the first is taken."""
    kept = "".join(axis for axis in axes if axis in "YXSCQ")
    array = array[tuple(slice(None) if axis in kept else 0 for axis in axes)]
    order = [place for place, axis in enumerate(kept) if axis not in "YX"]
    array = array.transpose(kept.index("Y"), kept.index("X"), *order)
    return array.reshape(*array.shape[:2], -1)


def _depth(pixels: np.ndarray) -> np.ndarray:
    """Pixels as uint8, uint16 or float32, without losing anything that a network could see."""
    if pixels.dtype == bool:
        return pixels * np.uint8(255)
    if pixels.dtype.kind == "u" and pixels.dtype.itemsize <= 2:
        return pixels.astype(pixels.dtype.newbyteorder("="), copy=False)
    if pixels.dtype.kind != "f":
        raise Refused(UNSUPPORTED, f"its values are of type {pixels.dtype}; uint8, uint16 and floating ones are read")
    if not np.isfinite(pixels).all():
        raise Refused(UNSUPPORTED, "it holds values that are not finite numbers")
    return pixels.astype(np.float32)


def _names(page: TiffPage, count: int) -> tuple[str, ...]:
    colours = RGB if page.photometric == _RGB else GREY
    if count == len(colours) + 1 and _alphas(page) == 1:
        return (*colours, ALPHA)
    return colours if count == len(colours) else channel_names(count)
