"""Read the segments of a JPEG up to its first scan: their contents, and the bytes between them."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass, field

from striate.data.images.codecs import exif

_EXIF, _XMP, _ICC = b"Exif\0\0", b"http://ns.adobe.com/xap/1.0/\0", b"ICC_PROFILE\0"
_APP0, _APP1, _APP2, _APP14, _SOS, _EOI = 0xE0, 0xE1, 0xE2, 0xEE, 0xDA, 0xD9
_SAYING = (_APP1, _APP2)
_ALONE = frozenset([0x01, *range(0xD0, 0xD9)])  # markers without a length: TEM, RST0 to RST7, SOI
_NO_SEGMENT = _ALONE | {0x00, 0xFF, _SOS, _EOI}
_HEAD = struct.Struct(">BBH")
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # SOF0 to SOF15; DHT, JPG and DAC are not frames
_OF_INTEREST = _FRAMES | {_APP1, _APP2}
_USUAL, _FRAME = (0xC0, 0xC1, 0xC2), struct.Struct(">HHB")
_JFIF = b"\xff\xd8\xff\xe0\0\x10JFIF\0"
PROGRESSIVE, _FIRST_ARITHMETIC = (0xC2, 0xC6, 0xCA, 0xCE), 0xC9
# The next marker as libjpeg searches for it: filling bytes before it are valid, anything else is skipped.
MARKER = re.compile(rb"\xff+[^\xff\x00]")
_LOSSLESS, _HIERARCHICAL, _LOSSLESS_ARITHMETIC = 0xC3, (0xC5, 0xC6, 0xC7, 0xCD, 0xCE, 0xCF), 0xCB


@dataclass
class Segments:
    """The segments of a JPEG up to its first scan (ITU-T T.81, annex B).

    `parts` holds the marker of each segment and its bounds in the file, marker included; `said` those of them that may
    hold EXIF data, XMP or a profile. `scan` is the start of the first scan, 0 if there is none; `frame` the kind of the
    frame (SOF) and its start. Bytes between two segments are skipped, as in libjpeg.
    """

    data: bytes
    parts: list[tuple[int, int, int]] = field(default_factory=list)
    said: list[tuple[int, int, int]] = field(default_factory=list)
    scan: int = 0
    frame: tuple[int, int] = (0, 0)

    @property
    def lossless(self) -> bool:
        """Whether the frame is of a lossless kind, which cannot be decoded at a fraction of its size."""
        return self.frame[0] == _LOSSLESS

    @property
    def arithmetic(self) -> bool:
        """Whether the pixels are coded arithmetically."""
        return self.frame[0] >= _FIRST_ARITHMETIC

    @property
    def one_scan(self) -> bool:
        """Whether the first scan holds all channels in their full precision."""
        kind, at = self.frame
        told = self.scan + 4
        whole = self.data[told : told + 1] == self.data[at + 9 : at + 10]  # nothing, where the file ends before it
        return bool(kind and self.scan) and kind not in PROGRESSIVE and whole

    @property
    def size_and_colours(self) -> tuple[int, int, str] | None:
        """Height, width and colour space of the usual kinds of JPEG; None of others.

        Source: `default_decompress_parms` of libjpeg: one channel is grey, and three after a JFIF marker are YCbCr.
        """
        kind, at = self.frame
        if kind not in _USUAL:
            return None
        height, width, channels = _FRAME.unpack_from(self.data, at + 5)
        if height and width and (channels == 1 or (channels == 3 and self.data.startswith(_JFIF))):
            return height, width, "Gray" if channels == 1 else "YCbCr"
        return None

    @property
    def unsupported(self) -> str:
        """The property of the frame that no decoder here reads; "" if there is none."""
        kind, at = self.frame
        if not kind:
            return ""
        precision, components = self.data[at + 4], self.data[at + 9]
        if precision != 8:
            return f"a JPEG of {precision} bits a sample; 8 are read"
        if kind in _HIERARCHICAL or kind == _LOSSLESS_ARITHMETIC:
            return f"a JPEG of process SOF{kind - 0xC0}"
        if not any(self.data[at + 5 : at + 7]):
            return "a JPEG whose height follows its first scan (DNL)"
        return f"a JPEG of {components} channels; 1, 3 and 4 are read" if components not in (1, 3, 4) else ""

    @property
    def orientation(self) -> int:
        """The EXIF orientation, or the one in XMP."""
        if not self.said:
            return 1
        return exif.orientation(self._content(_APP1, _EXIF), self._content(_APP1, _XMP))

    def _content(self, marker: int, start: bytes) -> bytes:
        """Return the first segment of this marker that begins with `start`, without marker and length."""
        for found, begin, end in self.said:
            if found == marker and self.data.startswith(start, begin + 4):
                return self.data[begin + 4 : end]
        return b""

    @property
    def profile(self) -> bytes:
        """The ICC profile, joined from its numbered pieces (ICC.1:2022, B.4); empty if pieces are missing."""
        if not self.said:
            return b""
        pieces = [self.data[begin + 4 : end] for _, begin, end in self._profile_parts]
        if not pieces:
            return b""
        pieces.sort(key=lambda piece: piece[12])
        return b"".join(piece[14:] for piece in pieces) if pieces[0][13] == len(pieces) else b""

    @property
    def _profile_parts(self) -> list[tuple[int, int, int]]:
        return [
            part
            for part in self.said
            if part[0] == _APP2 and part[2] - part[1] > 18 and self.data.startswith(_ICC, part[1] + 4)
        ]

    def tidy(self) -> bytes:
        """Return the segments in valid form: nothing between them, and none that only make libjpeg warn.

        A version of JFIF that does not exist, an unknown colour transform of Adobe's (libjpeg assumes YCbCr, or YCCK)
        and wrongly numbered pieces of a profile change no pixel.
        """
        kept = [b"\xff\xd8"]
        profile = set(self._profile_parts)
        channels = self.data[self.frame[1] + 9] if self.frame[0] else 0
        for marker, begin, end in self.parts:
            part = bytearray(self.data[begin:end])
            if marker == _APP0 and part[4:9] == b"JFIF\0" and len(part) > 9:
                part[9] = 1
            if marker == _APP14 and part[4:9] == b"Adobe" and len(part) > 15 and part[15] > 2:
                part[15] = 2 if channels == 4 else 1
            if (marker, begin, end) not in profile:
                kept.append(bytes(part))
        return b"".join(kept)


def segments(data: bytes) -> Segments:
    """Read the segments of a JPEG up to its first scan."""
    found = Segments(data)
    parts, size, position, read = found.parts, len(data), 2, _HEAD.unpack_from
    while position + 4 <= size:
        filling, marker, length = read(data, position)
        if filling != 0xFF or marker in _NO_SEGMENT:
            if filling == 0xFF and marker in (_SOS, _EOI):
                found.scan = position if marker == _SOS else 0
                break
            following = MARKER.search(data, position + 2 if filling == 0xFF and marker in _ALONE else position)
            if following is None:
                break
            position = following.end() - 2
            continue
        end = position + 2 + length
        if end > size or length < 2:
            break
        parts.append((marker, position, end))
        if marker in _OF_INTEREST:
            if marker in _SAYING:
                found.said.append(parts[-1])
            elif length >= 8:
                found.frame = (marker, position)
        position = end
    return found
