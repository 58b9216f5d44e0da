"""Decode TIFF: ordinary ones through Pillow; deep, floating and many-channel ones through tifffile."""

from __future__ import annotations

import dataclasses
import io
import logging
import math
from collections.abc import Iterable

import numpy as np
from tifffile import COMPRESSION, TiffFile, TiffFrame, TiffPage, TiffPageSeries

from striate.core.spec import GREY, RGB, channel_names
from striate.data.images.codecs import exif, icc, pillow, ycbcr
from striate.data.images.codecs.alpha import straight
from striate.data.images.codecs.refusal import DAMAGED, TRUNCATED, UNSUPPORTED, Refused, check_size
from striate.data.images.decoded import ALPHA, DecodedImage

_BITS_TAG, _ORIENTATION_TAG, _XMP_TAG, _PROFILE_TAG = 258, 274, 700, 34675
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE, _INKS, _YCBCR, _LAB = 0, 1, 2, 3, 5, 6, 8
_COLOURS = {  # samples of a pixel
    _WHITE_IS_ZERO: 1, _BLACK_IS_ZERO: 1, _RGB: 3, _PALETTE: 1, _INKS: 4, _YCBCR: 3, _LAB: 3
}  # fmt: skip
_ACROSS_PAGES = frozenset("CQ")  # channels, and the unnamed dimension of an array that was written as a whole
_UNSPECIFIED, _PREMULTIPLIED, _STRAIGHT = 0, 1, 2  # kinds of extra samples; the latter two are transparency

# tifffile logs each irregularity of a damaged file; the relevant ones are in the reason of the refusal.
logging.getLogger("tifffile").addHandler(logging.NullHandler())


def read(data: bytes) -> DecodedImage:
    """Decode the first image of a TIFF.

    Which dimensions of a scientific file are channels follows tifffile's names of its axes: samples and channels are,
    and so is the unnamed dimension of an array that was written as a whole. Only the first of
    several pages, planes in depth or points in time is read, and only that has to be complete.
    """
    try:
        with TiffFile(io.BytesIO(data)) as file:
            series = file.series[0]
            page = series.keyframe
            check_size(page.imagelength, page.imagewidth, page.samplesperpixel)
            if page.samplesperpixel > 1 and _BITS_TAG not in page.tags:  # tifffile would take 1
                raise Refused(DAMAGED, "how many bits its samples have is missing")
            turned = _orientation(page)
            _check_announced(file, series)
            planes = set(series.axes) & _ACROSS_PAGES - set(page.axes)
            _check_complete(series.pages if planes else [page], len(data))
            if not _is_ordinary(page, bool(planes)):
                return _read_array(series if planes else page, page, turned)
    except (Refused, MemoryError):
        raise
    except Exception as error:  # on damaged bytes a decoder may raise anything; each error becomes a refusal
        raise _refusal(error) from error
    # Pillow has already turned it upright; TIFF is the only format for which it does.
    return dataclasses.replace(pillow.read(data, "TIFF"), orientation=turned, note=_note(page))


def _orientation(page: TiffPage) -> int:
    """Return the orientation in the tag of the page, of any integer type; without a tag, the one in XMP."""
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
    """Check that a file which states the shape of its array holds all of it; tifffile accepts missing pages."""
    for description in (file.shaped_metadata or ())[:1]:
        if math.prod(description["shape"]) != series.size:
            raise Refused(TRUNCATED, "pages that it announces are missing")


def _check_complete(pages: Iterable[TiffPage | TiffFrame | None], length: int) -> None:
    """Check that all strips or tiles are inside the file: a decoder may fill missing ones with zeros or grey."""
    for page in pages:
        if page is None or not page.dataoffsets:
            raise Refused(TRUNCATED, "it has no pixels")
        for offset, count in zip(page.dataoffsets, page.databytecounts, strict=True):
            if count == 0 or offset + count > length:
                raise Refused(TRUNCATED, "parts of its pixels lie beyond its end")


def _is_ordinary(page: TiffPage, planes: bool) -> bool:
    """Return whether Pillow reads the page correctly: at most 8 bits, known colours and known extra samples."""
    colours = _COLOURS.get(page.photometric)
    if planes or colours is None or page.dtype is None or page.dtype.kind not in "bu":
        return False
    if page.compression == COMPRESSION.WEBP:  # Pillow's libtiff lacks it
        return False
    extra = _extra_samples(page)
    if page.planarconfig != 1 and extra and (page.photometric, extra) != (_RGB, (_STRAIGHT,)):
        return False
    if page.photometric == _INKS and page.bitspersample == 16:  # Pillow converts them to 8, as viewers do
        return not extra
    if page.bitspersample != 8 and (page.bitspersample not in (1, 2, 4) or page.samplesperpixel != 1):
        return False
    if page.photometric == _YCBCR and ycbcr.is_special(page):
        return False
    if page.photometric == _INKS:
        return extra in ((), (_UNSPECIFIED,))
    if page.photometric == _RGB:
        return extra in ((), (_UNSPECIFIED,), (_PREMULTIPLIED,), (_STRAIGHT,))
    if page.photometric == _PALETTE:
        return extra in ((), (_UNSPECIFIED,), (_STRAIGHT,))
    return not extra or (page.photometric == _BLACK_IS_ZERO and extra in ((_PREMULTIPLIED,), (_STRAIGHT,)))


def _extra_samples(page: TiffPage) -> tuple[int, ...]:
    """Return the kinds of the samples after the colours; a fourth one of RGB without a kind counts as alpha."""
    count = page.samplesperpixel - _COLOURS.get(page.photometric, page.samplesperpixel)
    kinds = tuple(int(kind) for kind in page.extrasamples)
    if not kinds and count == 1 and page.photometric == _RGB:
        return (_STRAIGHT,)
    return kinds + (_UNSPECIFIED,) * (count - len(kinds))


def _note(page: TiffPage) -> str:
    left_out = ((_UNSPECIFIED,), (_PREMULTIPLIED, _UNSPECIFIED), (_STRAIGHT, _UNSPECIFIED))
    if page.photometric in (_RGB, _INKS) and _extra_samples(page) in left_out:
        return "a sample after its colours, which the file does not name, is left out"
    return ""


def _read_array(stored: TiffPage | TiffPageSeries, page: TiffPage, orientation: int) -> DecodedImage:
    if page.photometric not in (_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _YCBCR) or page.dtype is None:
        raise Refused(UNSUPPORTED, f"a TIFF of kind {page.photometric!r} and {page.bitspersample} bits")
    height, width = (stored.shape[stored.axes.index(axis)] for axis in "YX")
    check_size(height, width, stored.size // (height * width))
    if page.photometric == _YCBCR:
        pixels, names = ycbcr.read(page), RGB
    else:
        pixels = _depth(_channels_last(stored.asarray(), stored.axes), page.bitspersample)
        pixels, names = _named(pixels, page)
    mode = f"TIFF {page.samplesperpixel}×{page.dtype}"
    pixels = icc.to_srgb(pixels, names, page.tags.valueof(_PROFILE_TAG, default=b""))
    pixels = exif.upright(pixels, orientation)
    return DecodedImage(pixels, names, pixels.shape[:2], orientation, mode, note=_note(page))


def _named(pixels: np.ndarray, page: TiffPage) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return the pixels as displayed, and the names of their channels.

    One sample after RGB that the file does not name is left out, as in viewers; several of them, or one after grey, are
    data of many channels and are kept.
    """
    names = RGB if page.photometric == _RGB else GREY
    colours, extra = len(names), _extra_samples(page)
    of_page = pixels.shape[2] == page.samplesperpixel
    alpha = of_page and extra[:1] in ((_PREMULTIPLIED,), (_STRAIGHT,)) and extra[1:] in ((), (_UNSPECIFIED,))
    pixels = pixels[..., : colours + 1] if alpha else pixels
    if page.photometric == _WHITE_IS_ZERO and pixels.dtype != np.float32:
        # Premultiplied samples run from 0, white, to alpha, black.
        white = pixels[..., -1:] if alpha and extra[0] == _PREMULTIPLIED else np.iinfo(pixels.dtype).max
        inverted = white - np.minimum(pixels[..., :colours], white)
        rest = pixels[..., colours:] if alpha else white - pixels[..., colours:]
        pixels = np.concatenate([inverted, rest], axis=2)
    if alpha:
        return (straight(pixels) if extra[0] == _PREMULTIPLIED else pixels), (*names, ALPHA)
    if of_page and page.photometric == _RGB and extra == (_UNSPECIFIED,):
        return np.ascontiguousarray(pixels[..., :colours]), names
    return pixels, names if pixels.shape[2] == colours else channel_names(pixels.shape[2])


def _channels_last(array: np.ndarray, axes: str) -> np.ndarray:
    """Transpose to (h, w, c): the axes S, C and Q become the channels, in order; other axes are reduced to index 0."""
    kept = "".join(axis for axis in axes if axis in "YXSCQ")
    array = array[tuple(slice(None) if axis in kept else 0 for axis in axes)]
    order = [place for place, axis in enumerate(kept) if axis not in "YX"]
    array = array.transpose(kept.index("Y"), kept.index("X"), *order)
    return array.reshape(*array.shape[:2], -1)


def _depth(pixels: np.ndarray, bits: int) -> np.ndarray:
    """Convert pixels to uint8, uint16 or float32 by full intensity, without a loss that a model could see."""
    if pixels.dtype == bool:
        return pixels * np.uint8(255)
    if pixels.dtype.kind == "u" and pixels.dtype.itemsize <= 2:
        pixels = pixels.astype(pixels.dtype.newbyteorder("="), copy=False)
        if bits == 8 * pixels.dtype.itemsize:
            return pixels
        return np.rint(pixels * (np.iinfo(pixels.dtype).max / (2**bits - 1))).astype(pixels.dtype)
    if pixels.dtype.kind != "f":
        raise Refused(UNSUPPORTED, f"its values are of type {pixels.dtype}; uint8, uint16 and floating ones are read")
    with np.errstate(over="ignore"):
        pixels = pixels.astype(np.float32)
    if not np.isfinite(pixels).all():
        raise Refused(UNSUPPORTED, "it holds values that are not finite numbers in float32")
    return pixels
