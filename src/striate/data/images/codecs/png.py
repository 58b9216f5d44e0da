"""Decode PNG: complete or refused, with 16 bits kept."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngImageFile

from striate.data.images.codecs import icc, nclx, pillow
from striate.data.images.codecs.refusal import DAMAGED, TRUNCATED, Refused, check_size
from striate.data.images.decoded import CHANNELS_OF_MODE, DecodedImage

_SIGNATURE_LENGTH = 8
_GREY, _COLOUR, _PALETTE, _GREY_ALPHA = 0, 2, 3, 4  # colour types
_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # samples of a pixel by colour type
_MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}  # by the number of channels
_ADAM7 = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))
_PIECE = 1 << 20
_END = b"IEND", b""
_MOST_FRAMES = 0x80000000
_OF_PIXELS = frozenset([b"IHDR", b"PLTE", b"tRNS", b"IDAT"])
_OF_ANIMATION = frozenset([b"acTL", b"fcTL", b"fdAT"])

PREPARED = b"Striate prepared"
"""Keyword of the text chunk that names the grid for which an image is prepared (`data.images.decoded.prepared_tag`)."""


class _Header(NamedTuple):
    """The header (chunk IHDR), and what other chunks say of the pixels.

    `clear`: the clear colour (tRNS); `prepared`: the prepared tag; `profile`: that of the code points in cICP, which
    have precedence over an embedded profile (Portable Network Graphics, third edition, 11.3.2). `animations`: how many
    chunks announce frames (acTL); one with an impossible number of frames counts twice. `plain`: the file holds only
    pixels of 8 bits without a palette, row by row.
    """

    width: int
    height: int
    depth: int
    colour: int
    interlaced: bool
    clear: bytes = b""
    prepared: str = ""
    profile: bytes = b""
    animations: int = 0
    plain: bool = False

    @property
    def inflated(self) -> int:
        """Number of bytes of the inflated pixels: per row of each pass, one for its filter and the samples."""
        passes = _ADAM7 if self.interlaced else ((0, 0, 1, 1),)
        total = 0
        for top, left, down, right in passes:
            rows, columns = -(-(self.height - top) // down), -(-(self.width - left) // right)
            if rows > 0 and columns > 0:
                total += rows * (1 + (columns * self.depth * _SAMPLES[self.colour] + 7) // 8)
        return total


def read(data: bytes) -> DecodedImage:
    """Decode a PNG.

    Pillow fills missing pixels with black if the compressed stream merely ends early, and does not check every
    checksum. The file is therefore checked first: the checksums of its chunks, its end mark, and the number of bytes
    that its pixels need (ISO/IEC 15948, sections 5 and 10).
    """
    header, pixel_chunks = _parse(data)
    check_size(header.height, header.width)
    _check_complete(header, pixel_chunks)
    if header.plain and (image := _plain(header, pixel_chunks)):
        return image
    if header.animations > 1:  # Pillow would print a warning
        data = _selected(data, lambda name: name not in _OF_ANIMATION)
    try:
        image = pillow.read(data, "PNG", partial(_expand, data, header))
    except Refused as refusal:  # no pixels are missing
        bare = _selected(data, _OF_PIXELS.__contains__)  # without texts, profile and later frames
        image = pillow.read(bare, "PNG", partial(_expand, bare, header))
        image = replace(image, note=f"all but the pixels of the file is left out ({refusal.detail})")
    if image.pixels.dtype != np.uint16 and not header.prepared:
        return image
    mode = f"PNG {_MODES[image.pixels.shape[2]]};16" if image.pixels.dtype == np.uint16 else image.mode
    return replace(image, mode=mode, prepared=header.prepared)


def _parse(data: bytes) -> tuple[_Header, list[memoryview]]:
    """Return the header and the pieces of compressed pixels."""
    header: _Header | None = None
    said: dict[str, Any] = {}
    pieces: list[memoryview] = []
    others = 0
    for name, content in _chunks(data):
        if name == b"IDAT":
            pieces.append(content)
            continue
        others += 1
        if name == b"IHDR" and len(content) == 13:
            width, height, depth, colour, *methods, interlace = struct.unpack(">LLBBBBB", content)
            if colour not in _SAMPLES or depth not in (1, 2, 4, 8, 16) or interlace > 1:
                raise Refused(DAMAGED, "its header holds impossible values")
            plain = (depth, *methods, interlace) == (8, 0, 0, 0) and colour != _PALETTE and not pieces
            header = _Header(width, height, depth, colour, bool(interlace), plain=plain)
        elif name == b"tRNS":
            said["clear"] = bytes(content)
        elif name == b"tEXt" and bytes(content[: len(PREPARED) + 1]) == PREPARED + b"\0":
            said["prepared"] = bytes(content[len(PREPARED) + 1 :]).decode("latin-1")
        elif name == b"cICP" and len(content) == 4:
            said["profile"] = nclx.profile(content[0], content[1])
        elif name == b"acTL":
            known = len(content) >= 4 and 0 < int.from_bytes(content[:4], "big") <= _MOST_FRAMES
            said["animations"] = said.get("animations", 0) + (1 if known else 2)
    if header is None:
        raise Refused(DAMAGED, "it has no header")
    return (header._replace(**said, plain=False) if others > 1 else header), pieces


def _selected(data: bytes, is_kept: Callable[[bytes], bool]) -> bytes:
    """Return the PNG with the chunks whose names are kept."""
    parts = [
        struct.pack(">L", len(content)) + name + content + struct.pack(">L", zlib.crc32(name + content))
        for name, content in [*((name, bytes(content)) for name, content in _chunks(data) if is_kept(name)), _END]
    ]
    return data[:_SIGNATURE_LENGTH] + b"".join(parts)


def _chunks(data: bytes) -> Iterator[tuple[bytes, memoryview]]:
    """Yield name and content of each chunk up to the end mark; check the checksums of those that decoding needs."""
    view = memoryview(data)
    position = _SIGNATURE_LENGTH
    while True:
        if position + 12 > len(data):
            raise Refused(TRUNCATED, "it stops before its end mark")
        (length,) = struct.unpack_from(">L", data, position)
        name = data[position + 4 : position + 8]
        end = position + 8 + length
        if end + 4 > len(data):
            raise Refused(TRUNCATED, f"it stops inside its chunk {name.decode('latin-1')!r}")
        needed = name[:1].isupper()
        if needed and zlib.crc32(view[position + 4 : end]) != struct.unpack_from(">L", data, end)[0]:
            raise Refused(DAMAGED, f"the checksum of its chunk {name.decode('latin-1')!r} is wrong")
        if name == b"IEND":
            return
        yield name, view[position + 8 : end]
        position = end + 4


def _check_complete(header: _Header, pieces: list[memoryview]) -> None:
    """Inflate the pixels once, without keeping them, to check that none are missing."""
    inflater = zlib.decompressobj()
    missing = header.inflated
    try:
        for piece in pieces:
            rest: bytes | memoryview = piece
            while rest and missing > 0:
                missing -= len(inflater.decompress(rest, _PIECE))
                rest = inflater.unconsumed_tail
            # Bytes that the inflater still holds after a piece come with the next one, or with the flush.
        if missing > 0:
            missing -= len(inflater.flush())
    except zlib.error as error:
        raise Refused(DAMAGED, f"its pixels cannot be inflated: {error}") from error
    if missing > 0:
        raise Refused(TRUNCATED, f"{missing:,} of {header.inflated:,} bytes of pixels are missing")


def _plain(header: _Header, pieces: list[memoryview]) -> DecodedImage | None:
    """Decode pixels by Pillow's decoder alone; None if that fails.

    In small images, half of the time of Pillow's reader goes into the structure of the file.
    """
    mode, height, width = _MODES[_SAMPLES[header.colour]], header.height, header.width
    try:
        image = Image.frombytes(mode, (width, height), b"".join(pieces), "zip", mode, 0)
    except ValueError:
        return None
    pixels = np.frombuffer(image.tobytes(), np.uint8).reshape(height, width, -1)
    return DecodedImage(pixels, CHANNELS_OF_MODE[mode], (height, width), mode=f"PNG {mode}")


def _expand(data: bytes, header: _Header, image: Image.Image) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return pixels and channels of `image`, which Pillow has read from `data`; a clear colour becomes alpha."""
    if header.profile:
        image.info["icc_profile"] = header.profile
    if header.depth == 16:
        return _sixteen_bit(data, header, image)
    if header.clear and header.colour in (_GREY, _COLOUR):
        # The chunk holds samples, whose lowest bits count; Pillow compares them with grey levels up to 255.
        full = 2**header.depth - 1
        samples = [(one & full) * 255 // full for one in struct.unpack(f">{_SAMPLES[header.colour]}H", header.clear)]
        image.info["transparency"] = samples[0] if len(samples) == 1 else tuple(samples)
    return pillow.expanded(image)


def _sixteen_bit(data: bytes, header: _Header, image: Image.Image) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return pixels and channels of 16 bits; Pillow keeps only the high bytes of all but plain grey."""
    if header.colour == _GREY:
        pixels = np.asarray(image).astype(np.uint16)[..., None]
    elif header.colour == _GREY_ALPHA:  # two bytes of grey and two of alpha are read as four samples
        four = _reread(data, "RGBA")
        pixels = _joined(four[..., 0::2], four[..., 1::2])
    else:  # read as little-endian, the low bytes are the high ones
        low = _reread(data, "RGB;16L" if header.colour == _COLOUR else "RGBA;16L")
        pixels = _joined(np.asarray(image), low)
    if header.clear and header.colour in (_GREY, _COLOUR):
        is_clear = (pixels == np.frombuffer(header.clear, ">u2")).all(axis=2, keepdims=True)
        pixels = np.concatenate([pixels, np.where(is_clear, 0, 65535).astype(np.uint16)], axis=2)
    channels = CHANNELS_OF_MODE[_MODES[pixels.shape[2]]]
    return icc.to_srgb(pixels, channels, image.info.get("icc_profile") or b""), channels


def _joined(high: np.ndarray, low: np.ndarray) -> np.ndarray:
    pixels = high.astype(np.uint16)
    pixels <<= 8
    pixels |= low
    return pixels


def _reread(data: bytes, unpacker: str) -> np.ndarray:
    """Decode the pixels (h, w, c) with another of Pillow's unpackers."""
    with PngImageFile(io.BytesIO(data)) as image:
        image.tile = [tile._replace(args=unpacker) for tile in image.tile]
        return np.array(image)
