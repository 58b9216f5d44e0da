"""JPEG through libjpeg-turbo: without the interpreter lock, at a fraction of the size, and strict about damage."""

from __future__ import annotations

import numpy as np
import simplejpeg

from striate.core.geometry import place
from striate.core.spec import InputSpec
from striate.data.images.codecs import exif, icc, pillow
from striate.data.images.codecs.mending import mended
from striate.data.images.codecs.refusal import DAMAGED, TRUNCATED, UNSUPPORTED, Refused, check_size
from striate.data.images.codecs.segments import Segments, segments
from striate.data.images.decoded import CHANNELS_OF_MODE, DecodedImage

FRACTIONS = (8, 4, 2)

_CANNOT = ("unsupported", "not supported", "not implemented", "omitted at compile time", "maximum supported")


def read(data: bytes, spec: InputSpec | None) -> DecodedImage:
    """Decode a JPEG: grey as grey, anything else as RGB; at 1/2, 1/4 or 1/8 of its size where `spec` allows it.

    libjpeg fills what it cannot decode with grey and only warns, so every warning is a refusal here; what it warns of
    without losing a pixel is mended first (`striate.data.images.codecs.mending`), and the image is noted.

    Colours are those of the ICC profile, in sRGB. CMYK: the inks are taken as stored inverted, which is Adobe's way,
    the only one in use, and what browsers assume.
    """
    found = segments(data)
    try:
        return _read(data, found, spec)
    except ValueError as error:
        if found.unsupported:
            raise Refused(UNSUPPORTED, found.unsupported) from error
        if "subsampling" in str(error):  # a legal ratio of colour to brightness samples that TurboJPEG has no name for
            return pillow.read(data, "JPEG")
        whole = mended(found, str(error))
        if whole is None:
            raise _refusal(error) from error
        try:
            return _read(whole, found, spec, note=f"libjpeg warns of it ({error}); no pixel is lost")
        except ValueError as worse:
            raise _refusal(worse) from worse


def _read(data: bytes, found: Segments, spec: InputSpec | None, note: str = "") -> DecodedImage:
    *size, colour, _ = simplejpeg.decode_jpeg_header(data)
    height, width = map(int, size)
    check_size(height, width)
    orientation = found.orientation
    upright_size = (width, height) if orientation >= 5 else (height, width)
    factor = fraction(spec, *upright_size) if spec and not found.lossless else 1
    kind = {"Gray": "GRAY", "CMYK": "CMYK", "YCCK": "CMYK"}.get(colour, "RGB")
    # The size asked for is exactly that of one fraction, and the smallest one that is large enough is taken.
    pixels = simplejpeg.decode_jpeg(
        data, colorspace=kind, min_height=-(-height // factor), min_width=-(-width // factor), strict=True
    )
    channels = CHANNELS_OF_MODE["L" if kind == "GRAY" else "RGB"]
    if kind == "CMYK":
        pixels = _through_inks(pixels, found.profile)
    elif profile := found.profile:
        pixels = icc.to_srgb(pixels, channels, profile)
    return DecodedImage(
        exif.upright(pixels, orientation), channels, upright_size, orientation, f"JPEG {colour}", note=note
    )


def fraction(spec: InputSpec, height: int, width: int) -> int:
    """By how much an upright JPEG of this size may be shrunk while decoding: 8, 4, 2 or 1.

    The largest one that leaves both sides at least `spec.decode_scale` times as long as the resize will make them.
    """
    if not spec.decode_scale:
        return 1
    needed = [spec.decode_scale * side for side in place(spec, height, width).resized]
    fits = (f for f in FRACTIONS if -(-height // f) >= needed[0] and -(-width // f) >= needed[1])
    return next(fits, 1)


def _through_inks(light: np.ndarray, profile: bytes) -> np.ndarray:
    """RGB (h, w, 3) from the light (h, w, 4) that each ink lets through (255: all of it).

    By the profile of the inks; without one, colour times black.
    """
    managed = icc.inks_to_srgb(255 - light, profile)
    if managed is not None:
        return managed
    wide = light.astype(np.uint16)
    return ((wide[..., :3] * wide[..., 3:] + 127) // 255).astype(np.uint8)


def _refusal(error: ValueError) -> Refused:
    message = str(error)
    if any(phrase in message.lower() for phrase in _CANNOT):
        return Refused(UNSUPPORTED, message)
    return Refused(TRUNCATED if "premature end" in message.lower() else DAMAGED, message)
