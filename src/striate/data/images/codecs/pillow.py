"""Decode the formats that Pillow reads: GIF, BMP, WebP, AVIF, PNM, most of PNG and ordinary TIFF."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
from PIL import Image
from PIL.AvifImagePlugin import AvifImageFile
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.PpmImagePlugin import PpmImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from striate.core.spec import GREY
from striate.data.images.codecs import exif, icc
from striate.data.images.codecs.refusal import (
    DAMAGED,
    TOO_LARGE,
    TRUNCATED,
    UNSUPPORTED,
    Refused,
    check_heif,
    check_size,
)
from striate.data.images.decoded import CHANNELS_OF_MODE, DecodedImage

# Named one by one: `Image.open` would also try readers that run other programs, and would warn at its own limit.
_READERS: dict[str, type[ImageFile]] = {
    "JPEG": JpegImageFile,
    "PNG": PngImageFile,
    "GIF": GifImageFile,
    "BMP": BmpImageFile,
    "WebP": WebPImageFile,
    "AVIF": AvifImageFile,
    "PNM": PpmImageFile,
    "TIFF": TiffImageFile,
}

# Parts of Pillow's messages about a file that is complete, but of a kind that it does not read.
_CANNOT = ("unsupported", "not supported", "not installed", "cannot handle", "unknown pixel mode", "not implemented")
_ORIENTED = ("exif", "xmp", "XML:com.adobe.xmp", "Raw profile type exif")

Expanded = tuple[np.ndarray, tuple[str, ...]]


def read(
    data: bytes, kind: str, expand: Callable[[Image.Image], Expanded] | None = None, profile: bytes = b""
) -> DecodedImage:
    """Decode the first frame of an image of `kind`, in its stored depth, its colours in sRGB.

    `expand` converts the loaded image to pixels and channel names, where Pillow's mode does not suffice for that.
    `profile` is the ICC profile of an image that has none.
    """
    try:
        with _READERS[kind](io.BytesIO(data), "") as image:
            check_size(image.height, image.width)
            if kind == "AVIF":  # the head of the file need not state its size
                check_heif(image.height, image.width, len(data))
            mode = image.mode
            image.load()
            if profile:
                image.info.setdefault("icc_profile", profile)
            turned = _orientation(image)
            pixels, channels = (expand or expanded)(image)
    except (Refused, MemoryError):
        raise
    except Exception as error:  # on damaged bytes a decoder may raise anything; each error becomes a refusal
        raise _refusal(error) from error
    pixels = exif.upright(pixels, turned)
    return DecodedImage(pixels, channels, pixels.shape[:2], turned, f"{kind} {mode}")


def _refusal(error: Exception) -> Refused:
    message = str(error)
    if isinstance(error, Image.DecompressionBombError):  # the user of Pillow may have set a lower limit
        return Refused(TOO_LARGE, message)
    if any(phrase in message.lower() for phrase in _CANNOT):
        return Refused(UNSUPPORTED, message)
    return Refused(TRUNCATED if "truncated" in message.lower() else DAMAGED, message)


def _orientation(image: Image.Image) -> int:
    """Return the orientation from any of the places where `ImageOps.exif_transpose` finds it."""
    info = image.info
    if not any(key in info for key in _ORIENTED):
        return 1
    stated = info.get("exif") or _raw_profile(info.get("Raw profile type exif", ""))
    xmp = info.get("XML:com.adobe.xmp") or info.get("xmp") or b""
    return exif.orientation(stated, xmp.encode() if isinstance(xmp, str) else xmp)


def _raw_profile(text: str) -> bytes:
    """Decode a text chunk of ImageMagick: an empty line, a name, a length, and then hexadecimal digits."""
    try:
        return bytes.fromhex("".join(text.split("\n")[3:]))
    except ValueError:
        return b""


def expanded(image: Image.Image) -> Expanded:
    """Return pixels (h, w, c) in sRGB and channel names; palettes, inks and transparency become channels."""
    profile = image.info.get("icc_profile") or b""
    if image.mode in ("F", "I") or image.mode.startswith("I;16"):
        return icc.to_srgb(_deep(image), GREY, profile), GREY
    if image.mode == "CMYK" and profile:
        managed = icc.inks_to_srgb(np.asarray(image), profile)
        if managed is not None:
            return managed, CHANNELS_OF_MODE["RGB"]
    grey = image.mode in ("1", "L", "LA", "La")
    mode = ("L" if grey else "RGB") + ("A" if image.has_transparency_data else "")
    pixels = np.asarray(image if image.mode == mode else image.convert(mode))
    pixels = pixels.reshape(*pixels.shape[:2], -1)
    channels = CHANNELS_OF_MODE[mode]
    return icc.to_srgb(pixels, channels, profile) if profile else pixels, channels


def _deep(image: Image.Image) -> np.ndarray:
    """Return the pixels (h, w, 1) of a grey image of more than 8 bits: uint16, or float32 for mode F."""
    values = np.asarray(image)
    if image.mode == "F":
        if not np.isfinite(values).all():
            raise Refused(UNSUPPORTED, "it holds values that are not finite numbers")
        return values[..., None].astype(np.float32)
    if values.min() < 0 or values.max() > 65535:
        raise Refused(UNSUPPORTED, "its values do not fit into 16 bits")
    return values[..., None].astype(np.uint16)
