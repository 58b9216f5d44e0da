"""Decode JPEG through libjpeg-turbo: without the interpreter lock, at a fraction of the size, strict about damage."""

from __future__ import annotations

import numpy as np
import simplejpeg

from striate.core.geometry import place
from striate.core.memory import room_for
from striate.core.spec import InputSpec
from striate.data.images.codecs import exif, icc, pillow
from striate.data.images.codecs.bounds import check_jpeg
from striate.data.images.codecs.mending import mended
from striate.data.images.codecs.refusal import DAMAGED, TRUNCATED, UNSUPPORTED, Refused, check_size
from striate.data.images.codecs.segments import Segments, segments
from striate.data.images.decoded import CHANNELS_OF_MODE, DecodedImage, by_rows

FRACTIONS = (8, 4, 2)

_CANNOT = ("unsupported", "not supported", "not implemented", "omitted at compile time", "maximum supported")


def read(data: bytes, spec: InputSpec | None) -> DecodedImage:
    """Decode a JPEG: grey as grey, other kinds as RGB; at 1/2, 1/4 or 1/8 of its size where `spec` allows it.

    libjpeg replaces what it cannot decode by grey and only warns, so every warning is a refusal here. A file that
    causes a warning without losing a pixel is first repaired (`striate.data.images.codecs.mending`), and the image is
    noted.

    Colours are converted by the ICC profile to sRGB. CMYK inks are taken as stored inverted: Adobe's convention, the
    only one in use, and the one of browsers.
    """
    found = segments(data)
    with room_for(check_jpeg(found)):
        return _checked(data, found, spec)


def _checked(data: bytes, found: Segments, spec: InputSpec | None) -> DecodedImage:
    try:
        return _read(data, found, spec)
    except ValueError as error:
        if found.unsupported:
            raise Refused(UNSUPPORTED, found.unsupported) from error
        if "subsampling" in str(error):  # a legal ratio of colour to brightness samples that TurboJPEG does not name
            return pillow.read(data, "JPEG")
        whole = mended(found, str(error))
        if whole is None:
            raise _refusal(error) from error
        try:
            return _read(whole, found, spec, note=f"libjpeg warns of it ({error}); no pixel is lost")
        except ValueError as worse:
            raise _refusal(worse) from worse


def _read(data: bytes, found: Segments, spec: InputSpec | None, note: str = "") -> DecodedImage:
    height, width, colour = found.size_and_colours or _header(data)
    check_size(height, width)
    orientation = found.orientation
    upright_size = (width, height) if orientation >= 5 else (height, width)
    factor = fraction(spec, *upright_size) if spec and not found.lossless else 1
    kind = {"Gray": "GRAY", "CMYK": "CMYK", "YCCK": "CMYK"}.get(colour, "RGB")
    # The requested size is exactly that of one fraction; simplejpeg chooses the smallest one that is large enough.
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


def _header(data: bytes) -> tuple[int, int, str]:
    try:
        height, width, colour, _ = simplejpeg.decode_jpeg_header(data)
    except KeyError as error:  # TurboJPEG has a name for this subsampling (4:4:1), simplejpeg has none
        raise ValueError("unnamed subsampling") from error
    return int(height), int(width), colour


def fraction(spec: InputSpec, height: int, width: int) -> int:
    """Return the factor by which an upright JPEG of this size may be shrunk while decoding: 8, 4, 2 or 1.

    It is the largest one that leaves both sides at least `spec.decode_scale` times as long as after the resize.
    """
    if not spec.decode_scale:
        return 1
    needed = [spec.decode_scale * side for side in place(spec, height, width).resized]
    fits = (f for f in FRACTIONS if -(-height // f) >= needed[0] and -(-width // f) >= needed[1])
    return next(fits, 1)


def _through_inks(light: np.ndarray, profile: bytes) -> np.ndarray:
    """Convert the light (h, w, 4) that each ink transmits (255: all of it) to RGB (h, w, 3).

    The profile of the inks is used; without one, colour times black.
    """
    managed = icc.inks_to_srgb(255 - light, profile)
    if managed is not None:
        return managed
    return by_rows(_colour_times_black, light[None])[0]


def _colour_times_black(light: np.ndarray) -> np.ndarray:
    wide = light.astype(np.uint16)
    return ((wide[..., :3] * wide[..., 3:] + 127) // 255).astype(np.uint8)


def _refusal(error: ValueError) -> Refused:
    message = str(error)
    if any(phrase in message.lower() for phrase in _CANNOT):
        return Refused(UNSUPPORTED, message)
    return Refused(TRUNCATED if "premature end" in message.lower() else DAMAGED, message)
