"""Decode HEIC through libheif, and AVIF through Pillow; both use the container of ISO/IEC 23008-12."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from striate.data.images.codecs import icc, nclx, pillow
from striate.data.images.codecs.alpha import straight
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

_AVIF = frozenset([b"avif", b"avis"])
_HEIF = frozenset([b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"mif2", b"msf1"])
_MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}  # by the number of channels


def read(data: bytes) -> DecodedImage:
    """Decode the primary image of a HEIC or AVIF file, upright, its colours in sRGB.

    The rotation and mirroring of the file (`irot`, `imir`) are applied; a copy of the orientation in its EXIF data is
    not, as the standard requires. HEIC of 10 and 12 bits is kept in 16 bits; Pillow returns AVIF in 8. An ICC profile
    has precedence over primaries that are stated by number (`striate.data.images.codecs.nclx`).
    """
    length = int.from_bytes(data[:4], "big")
    brands = {data[at : at + 4] for at in (8, *range(16, min(length, len(data), 1024), 4))}
    if data[8:12] in _AVIF or (brands & _AVIF and not brands & (_HEIF - {b"mif1", b"mif2", b"msf1"})):
        primaries, transfer = nclx.stated(data)
        image = pillow.read(data, "AVIF", profile=nclx.profile(primaries, transfer))
        return replace(image, note=nclx.note(transfer))
    if not brands & _HEIF:
        raise Refused(UNSUPPORTED, "a film or a raw image of a camera; save it as JPEG or PNG")
    try:
        import pi_heif
    except ImportError as error:
        raise Refused(UNSUPPORTED, "HEIC needs pi-heif: pip install pi-heif; or save it as JPEG or PNG") from error
    try:
        file = pi_heif.open_heif(data, convert_hdr_to_8bit=False, hdr_to_16bit=False)
        check_size(file.size[1], file.size[0])
        check_heif(file.size[1], file.size[0], len(data))  # the head of the file need not state its size
        pixels = np.array(file)  # a copy: the memory of libheif is freed with `file`
        mode, bits, profile = file.mode, file.info["bit_depth"], file.info.get("icc_profile", b"")
        space = file.info.get("nclx_profile") or {}
        primaries, transfer = (space.get(key, 2) for key in ("color_primaries", "transfer_characteristics"))
    except (Refused, MemoryError):
        raise
    except Exception as error:  # on damaged bytes a decoder may raise anything; each error becomes a refusal
        raise _refusal(error) from error
    pixels = pixels.reshape(*pixels.shape[:2], -1)
    channels = CHANNELS_OF_MODE[_MODES[pixels.shape[2]]]
    if bits > 8:
        pixels = np.rint(pixels * (65535 / (2**bits - 1))).astype(np.uint16)
    if file.premultiplied_alpha:
        pixels = straight(pixels)
    pixels = icc.to_srgb(pixels, channels, profile or nclx.profile(primaries, transfer))
    return DecodedImage(pixels, channels, pixels.shape[:2], mode=f"HEIC {mode}", note=nclx.note(transfer))


def _refusal(error: Exception) -> Refused:
    message = " ".join(str(error).split())
    if isinstance(error, SyntaxError) or "unsupported" in message.lower() or "not been built in" in message:
        return Refused(UNSUPPORTED, f"{message}; save it as JPEG or PNG")
    if "limit exceeded" in message:
        return Refused(TOO_LARGE, message)
    return Refused(TRUNCATED if "end of file" in message else DAMAGED, message)
