"""JPEG through libjpeg-turbo: without the interpreter lock, at a fraction of the size, and strict about damage."""

from __future__ import annotations

import numpy as np
import simplejpeg

from striate.core.geometry import place
from striate.core.spec import InputSpec
from striate.data.codecs import exif, pillow
from striate.data.codecs.refusal import DAMAGED, TRUNCATED, Refused, check_size
from striate.data.picture import CHANNELS_OF_MODE, Picture

FRACTIONS = (8, 4, 2)

# Bytes between the last scan and the end marker: the picture is whole. Cameras and old tools write such files.
_HARMLESS = "extraneous bytes before marker 0xd9"


def read(data: bytes, spec: InputSpec | None) -> Picture:
    """Decode a JPEG: grey as grey, anything else as RGB; at 1/2, 1/4 or 1/8 of its size where `spec` allows it.

    libjpeg fills what it cannot decode with grey and only warns, so every warning is a refusal here, but one.

    CMYK: the inks are taken as stored inverted, which is Adobe's way, the only one in use, and what browsers assume.
    """
    try:
        *size, colour, _ = simplejpeg.decode_jpeg_header(data)
    except ValueError as error:
        if "subsampling" in str(error):  # a legal ratio of colour to brightness samples that TurboJPEG has no name for
            return pillow.read(data, "JPEG")
        raise _refusal(error) from error
    height, width = map(int, size)
    check_size(height, width)
    orientation = exif.orientation(exif.jpeg_exif(data))
    upright_size = (width, height) if orientation >= 5 else (height, width)
    factor = fraction(spec, *upright_size) if spec else 1
    kind = {"Gray": "GRAY", "CMYK": "CMYK", "YCCK": "CMYK"}.get(colour, "RGB")
    pixels = _decode(data, kind, -(-height // factor), -(-width // factor))
    if kind == "CMYK":
        pixels = _through_inks(pixels)
    channels = CHANNELS_OF_MODE["L" if kind == "GRAY" else "RGB"]
    return Picture(exif.upright(pixels, orientation), channels, upright_size, orientation, f"JPEG {colour}")


def fraction(spec: InputSpec, height: int, width: int) -> int:
    """By how much an upright JPEG of this size may be shrunk while decoding: 8, 4, 2 or 1.

    The largest one that leaves both sides at least `spec.decode_scale` times as long as the resize will make them.
    """
    if not spec.decode_scale:
        return 1
    needed = [spec.decode_scale * side for side in place(spec, height, width).resized]
    fits = (f for f in FRACTIONS if -(-height // f) >= needed[0] and -(-width // f) >= needed[1])
    return next(fits, 1)


def _decode(data: bytes, kind: str, least_height: int, least_width: int) -> np.ndarray:
    def decode(strict: bool) -> np.ndarray:
        # The size asked for is exactly that of one fraction, and the smallest one that is large enough is taken.
        return simplejpeg.decode_jpeg(
            data, colorspace=kind, min_height=least_height, min_width=least_width, strict=strict
        )

    try:
        return decode(strict=True)
    except ValueError as error:
        if _HARMLESS not in str(error):
            raise _refusal(error) from error
    return decode(strict=False)


def _through_inks(light: np.ndarray) -> np.ndarray:
    """RGB (h, w, 3) from the light (h, w, 4) that each ink lets through (255: all of it): colour times black."""
    wide = light.astype(np.uint16)
    return ((wide[..., :3] * wide[..., 3:] + 127) // 255).astype(np.uint8)


def _refusal(error: ValueError) -> Refused:
    message = str(error)
    return Refused(TRUNCATED if "premature end" in message.lower() else DAMAGED, message)
