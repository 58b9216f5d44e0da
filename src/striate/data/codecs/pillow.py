"""The formats that Pillow reads: GIF, BMP, WebP, PNM, most of PNG and ordinary TIFF."""

from __future__ import annotations

import io
import re

import numpy as np
from PIL import Image
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.PpmImagePlugin import PpmImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from striate.core.spec import GREY
from striate.data.codecs import exif
from striate.data.codecs.refusal import DAMAGED, TRUNCATED, UNSUPPORTED, Refused, check_size
from striate.data.picture import CHANNELS_OF_MODE, Picture

# Named one by one: `Image.open` would also try readers that run other programs, and would warn by a limit of its own.
_READERS: dict[str, type[ImageFile]] = {
    "JPEG": JpegImageFile,
    "PNG": PngImageFile,
    "GIF": GifImageFile,
    "BMP": BmpImageFile,
    "WebP": WebPImageFile,
    "PNM": PpmImageFile,
    "TIFF": TiffImageFile,
}

_WIDE_PPM = re.compile(rb"P[36]\s+(?:#[^\n]*\n\s*)*\d+\s+\d+\s+(\d+)")


def read(data: bytes, kind: str) -> Picture:
    """Decode the first frame of a picture of `kind`, in the depth in which it was stored."""
    if kind == "PNM" and (wide := _WIDE_PPM.match(data)) and int(wide[1]) > 255:
        raise Refused(UNSUPPORTED, "a colour PNM of more than 8 bits; convert it to TIFF or PNG")
    try:
        with _READERS[kind](io.BytesIO(data), "") as picture:
            check_size(picture.height, picture.width)
            mode = picture.mode
            picture.load()
            turned = exif.orientation(picture.info.get("exif", b""))
            pixels, channels = _expand(picture)
    except (Refused, MemoryError):
        raise
    except Exception as error:  # on damaged bytes a decoder may raise anything; all of it means the same
        raise Refused(TRUNCATED if "truncated" in str(error).lower() else DAMAGED, str(error)) from error
    pixels = exif.upright(pixels, turned)
    return Picture(pixels, channels, pixels.shape[:2], turned, f"{kind} {mode}")


def _expand(picture: Image.Image) -> tuple[np.ndarray, tuple[str, ...]]:
    """Pixels (h, w, c) and channel names: palettes looked up, inks made light, transparency made a channel."""
    if picture.mode in ("F", "I") or picture.mode.startswith("I;16"):
        return _deep(picture), GREY
    grey = picture.mode in ("1", "L", "LA", "La")
    transparent = picture.has_transparency_data
    mode = ("L" if grey else "RGB") + ("A" if transparent else "")
    pixels = np.asarray(picture if picture.mode == mode else picture.convert(mode))
    return pixels.reshape(*pixels.shape[:2], -1), CHANNELS_OF_MODE[mode]


def _deep(picture: Image.Image) -> np.ndarray:
    """The pixels (h, w, 1) of a grey picture of more than 8 bits: uint16, or float32 for mode F."""
    values = np.asarray(picture)
    if picture.mode == "F":
        if not np.isfinite(values).all():
            raise Refused(UNSUPPORTED, "it holds values that are not finite numbers")
        return values[..., None].astype(np.float32)
    if values.min() < 0 or values.max() > 65535:
        raise Refused(UNSUPPORTED, "its values do not fit into 16 bits")
    return values[..., None].astype(np.uint16)
