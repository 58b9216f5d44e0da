"""PNG: whole or refused, and 16 bits kept."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from striate.data.codecs import exif, pillow
from striate.data.codecs.refusal import DAMAGED, TRUNCATED, UNSUPPORTED, Refused, check_size
from striate.data.picture import CHANNELS_OF_MODE, Picture

_SIGNATURE_LENGTH = 8
_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # samples of a pixel by colour type
_MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}  # by the number of channels
_ADAM7 = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))
_PIECE = 1 << 20

PREPARED = b"Striate prepared"
"""The keyword of the text chunk that says for which grid the picture is prepared (`striate.data.prepared`)."""


@dataclass(frozen=True)
class _Header:
    width: int
    height: int
    depth: int
    colour: int
    interlaced: bool

    @property
    def inflated(self) -> int:
        """How many bytes the pixels take once inflated: per row of each pass, one for its filter and the samples."""
        passes = _ADAM7 if self.interlaced else ((0, 0, 1, 1),)
        total = 0
        for top, left, down, right in passes:
            rows, columns = -(-(self.height - top) // down), -(-(self.width - left) // right)
            if rows > 0 and columns > 0:
                total += rows * (1 + (columns * self.depth * _SAMPLES[self.colour] + 7) // 8)
        return total


def read(data: bytes) -> Picture:
    """Decode a PNG.

    Pillow fills up with black what the file does not hold if its compressed stream merely ends early, and does not
    look at every checksum. So the file is first judged by its own measures: the checksums of its chunks, its end
    mark, and the number of bytes that its pixels need (ISO/IEC 15948, sections 5 and 10).
    """
    header, transparent, exif_data, prepared, pixel_chunks = _parse(data)
    check_size(header.height, header.width)
    _check_complete(header, pixel_chunks)
    if header.depth < 16 or (header.colour == 0 and not transparent):
        picture = pillow.read(data, "PNG")
        return replace(picture, prepared=prepared) if prepared else picture
    orientation = exif.orientation(exif_data)
    pixels = exif.upright(_sixteen_bit(data), orientation)
    mode = _MODES[pixels.shape[2]]
    return Picture(pixels, CHANNELS_OF_MODE[mode], pixels.shape[:2], orientation, f"PNG {mode};16", prepared)


def _parse(data: bytes) -> tuple[_Header, bool, bytes, str, list[memoryview]]:
    """The header, whether one colour is clear, the EXIF data, what it is prepared for, and the pieces of compressed
    pixels."""
    header: _Header | None = None
    transparent = False
    exif_data = b""
    prepared = ""
    pieces: list[memoryview] = []
    for name, content in _chunks(data):
        if name == b"IHDR" and len(content) == 13:
            width, height, depth, colour, _, _, interlace = struct.unpack(">LLBBBBB", content)
            if colour not in _SAMPLES or depth not in (1, 2, 4, 8, 16) or interlace > 1:
                raise Refused(DAMAGED, "its header holds impossible values")
            header = _Header(width, height, depth, colour, bool(interlace))
        elif name == b"tRNS":
            transparent = True
        elif name == b"eXIf":
            exif_data = bytes(content)
        elif name == b"tEXt" and bytes(content[: len(PREPARED) + 1]) == PREPARED + b"\0":
            prepared = bytes(content[len(PREPARED) + 1 :]).decode("latin-1")
        elif name == b"IDAT":
            pieces.append(content)
    if header is None:
        raise Refused(DAMAGED, "it has no header")
    return header, transparent, exif_data, prepared, pieces


def _chunks(data: bytes) -> Iterator[tuple[bytes, memoryview]]:
    """Name and content of each chunk up to the end mark; a chunk that decoding needs must have the right checksum."""
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
    """Inflate the pixels once, keeping none, to know that all of them are there."""
    inflater = zlib.decompressobj()
    missing = header.inflated
    try:
        for piece in pieces:
            rest: bytes | memoryview = piece
            while rest and missing > 0:
                missing -= len(inflater.decompress(rest, _PIECE))
                rest = inflater.unconsumed_tail
            # What the inflater holds back when a piece is used up comes with the next one, or with the flush.
        if missing > 0:
            missing -= len(inflater.flush())
    except zlib.error as error:
        raise Refused(DAMAGED, f"its pixels cannot be inflated: {error}") from error
    if missing > 0:
        raise Refused(TRUNCATED, f"{missing:,} of {header.inflated:,} bytes of pixels are missing")


def _sixteen_bit(data: bytes) -> np.ndarray:
    """The pixels (h, w, c) of a 16-bit PNG, a clear colour as alpha; Pillow would cut to 8 bits all but plain grey."""
    try:
        import imagecodecs
    except ImportError as error:
        raise Refused(
            UNSUPPORTED, "a 16-bit colour PNG needs imagecodecs: pip install 'striate[scientific]'"
        ) from error
    try:
        pixels = imagecodecs.png_decode(data)
    except Exception as error:  # every codec has an exception class of its own
        raise Refused(DAMAGED, str(error)) from error
    return pixels.reshape(*pixels.shape[:2], -1)
