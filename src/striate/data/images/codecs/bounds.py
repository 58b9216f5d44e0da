"""Estimate the cost of decoding a file from its structure, before decoding it.

A file of a few bytes may need gigabytes of memory or minutes of work without a single error in it: a canvas of
16384×16384, pages that refer to each other, hundreds of scans. Each rule here is cheap, with limits far above the
files of cameras, scanners and programs.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator

from striate.data.images.codecs.refusal import DAMAGED, TOO_MUCH_WORK, Refused, check_heif, check_memory
from striate.data.images.codecs.segments import PROGRESSIVE, Segments, segments

_SIDES = struct.Struct(">HH")
_MOST_SCANS = 32  # of a JPEG; encoders write 10
_MOST_SCANNED = 1_500_000_000  # pixels times scans: some 2 ns each
_MOST_CHUNKS = 100_000  # of a PNG, without its pixels
_MOST_RUN_LENGTH = 1 << 24  # pixels, and bytes, of a run-length BMP, which Pillow decodes in Python
_MOST_NUMBERS = 5_000_000  # written as text in a PNM
_MOST_DIGITS = 1 << 26  # of a PNM of one bit, written as text
_MOST_COMMENTS = 1 << 16  # bytes before the pixels of a PNM, and comments among them
_MOST_PAGES, _MOST_TAGS, _MOST_STRIPS = 4096, 1 << 17, 1 << 17  # of a TIFF
_MOST_BOXES, _MOST_PROPERTIES = 1 << 12, 1 << 16  # of a HEIC or AVIF file
_TYPE_BYTES = (0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4, 0, 0, 8, 8, 8)  # of a TIFF's types of values
_WHOLE = {1: "B", 3: "H", 4: "L", 16: "Q"}  # the types of whole numbers
_TIFF_HELD = {1: 5, 2: 8}  # bytes in memory for each sample of a TIFF, by its bytes in the file
_WIDTH, _HEIGHT, _BITS, _SAMPLES, _STRIPS, _TILES = 256, 257, 258, 277, 273, 324


def check_cost(data: bytes) -> int:
    """Refuse a file that would cost far more memory or time than its pixels justify.

    Returns the approximate bytes of memory that decoding needs; 0 where the file is not understood, which is left to
    the decoder.

    Raises:
        Refused: too many pixels, or too much work; the detail names the cause.
    """
    try:
        return next((check(data) for start, at, check in _CHECKS if data.startswith(start, at)), 0)
    except (struct.error, IndexError, ValueError):
        return 0


def check_jpeg(found: Segments) -> int:
    """Check the sizes of a frame (ITU-T T.81, B.2.2) and the number of its scans; return the bytes that decoding needs.

    All markers can be counted without decoding, because 0xFF within a scan is followed by a zero.

    Raises:
        Refused: too many pixels, or too much work.
    """
    data, (kind, at) = found.data, found.frame
    height, width = _SIDES.unpack_from(data, at + 5) if kind else (0, 0)
    if not height or not width:
        return 0
    inks = data[at + 9] == 4
    scans = 1 if found.one_scan else data.count(b"\xff\xda")  # after a scan of everything libjpeg reads no other
    held = 12 if inks or kind in PROGRESSIVE else 9
    needed = check_memory(height, width, held, len(data), (60 if inks else 45) + 15 * bool(found.profile))
    if scans > _MOST_SCANS and scans * height * width > _MOST_SCANNED:
        raise Refused(TOO_MUCH_WORK, f"{scans} scans over {width}×{height} pixels")
    return needed


def _check_png(data: bytes) -> int:
    width, height, depth, colour = struct.unpack_from(">LLBB", data, 16)
    stored = others = 0
    clear = profile = False
    position = 8
    while position + 8 <= len(data):
        (length,) = struct.unpack_from(">L", data, position)
        if data[position + 4 : position + 8] == b"IDAT":
            stored += length
        elif (others := others + 1) > _MOST_CHUNKS:
            raise Refused(TOO_MUCH_WORK, f"more than {_MOST_CHUNKS:,} chunks other than its pixels")
        else:
            name = data[position + 4 : position + 8]
            clear, profile = clear or name == b"tRNS", profile or name in (b"iCCP", b"cICP")
        position += 12 + length
    samples = {0: 2 if clear else 1, 2: 4 if clear else 3, 3: 4, 4: 2, 6: 4}.get(colour, 4)
    if depth == 16:
        return check_memory(height, width, 8 * samples, stored, 45 * samples)
    held = 3 if (colour, clear) == (0, False) else 5 if colour == 3 else 4  # by Pillow
    held += 2 * samples + 6 * profile
    return check_memory(height, width, held, stored, 15 * samples + 20 * (samples % 2 == 0) + 25 * profile)


def _check_gif(data: bytes) -> int:
    """Check the screen, enlarged by the first frame where that exceeds it (GIF89a, 18 and 20)."""
    width, height = struct.unpack_from("<HH", data, 6)
    position = 13 + (3 << (data[10] & 7) + 1 if data[10] & 0x80 else 0)
    while data[position] == 0x21:
        position += 2
        while length := data[position]:
            position += 1 + length
        position += 1
    if data[position] == 0x2C:
        left, top, wide, high = struct.unpack_from("<HHHH", data, position + 1)
        width, height = max(width, left + wide), max(height, top + high)
    return check_memory(height, width, 14, len(data))


def _check_webp(data: bytes) -> int:
    kind = data[12:16]
    if kind == b"VP8X":
        width, height = (int.from_bytes(data[at : at + 3], "little") + 1 for at in (24, 27))
    elif kind == b"VP8L":
        (bits,) = struct.unpack_from("<L", data, 21)
        width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    else:
        width, height = (side & 0x3FFF for side in struct.unpack_from("<HH", data, 26))
    profile = kind == b"VP8X" and data[20] & 0x20
    held, nanoseconds = (27, 110) if profile else (22, 65)
    return check_memory(height, width, held, len(data), nanoseconds)


def _check_heif(data: bytes) -> int:
    """Check the sizes of all images of the file, tiles and thumbnails too; the largest is the image.

    The size of an image that is opened is that after cropping (`clap`); a decoder holds all of it.

    Source: ISO/IEC 23008-12, 6.5.3, and ISO/IEC 14496-12, 4.2.
    """
    needed = count = 0
    for position, end in _metadata_boxes(data):
        while (position := data.find(b"ispe", position + 1, end)) >= 0:
            count += 1
            if count > _MOST_PROPERTIES:
                raise Refused(TOO_MUCH_WORK, f"more than {_MOST_PROPERTIES:,} images in one file")
            width, height = struct.unpack_from(">LL", data, position + 8)
            needed = max(needed, check_heif(height, width, len(data)))
    return needed


def _metadata_boxes(data: bytes) -> Iterator[tuple[int, int]]:
    """Yield where each metadata box begins and ends; data of images and padding may stand before them."""
    position = count = 0
    while position + 16 <= len(data):
        count += 1
        if count > _MOST_BOXES:
            raise Refused(TOO_MUCH_WORK, f"more than {_MOST_BOXES:,} boxes")
        length, kind, longer = struct.unpack_from(">L4sQ", data, position)
        length = longer if length == 1 else length or len(data) - position
        if kind == b"meta":
            yield position, position + length
        if length < 8:
            return  # damaged: the decoder says so
        position += length


def _check_bmp(data: bytes) -> int:
    if int.from_bytes(data[14:18], "little") == 12:
        return 0  # sides of 16 bits, and never compressed
    width, height, _, _, compression = struct.unpack_from("<llHHL", data, 18)
    width, height = abs(width), abs(height)
    if compression in (1, 2) and max(width * height, len(data)) > _MOST_RUN_LENGTH:
        raise Refused(TOO_MUCH_WORK, f"{width}×{height} pixels in runs; convert it to PNG")
    return check_memory(height, width, 14, len(data))


def _check_pnm(data: bytes) -> int:
    header = re.match(rb"P([1-6])(?:\s+|#[^\r\n]*[\r\n])+(\d{1,9})(?:\s+|#[^\r\n]*[\r\n])+(\d{1,9})", data)
    if header is None or header.end() > _MOST_COMMENTS:
        if data.find(b"#", 0, 1024) >= 0 and len(data) > _MOST_COMMENTS:
            raise Refused(TOO_MUCH_WORK, f"more than {_MOST_COMMENTS:,} bytes before its pixels")
        return 0
    kind, width, height = (int(number) for number in header.groups())
    numbers = width * height * (3 if kind == 3 else 1)
    if kind <= 3 and (
        numbers > (_MOST_DIGITS if kind == 1 else _MOST_NUMBERS) or data.count(b"#") > _MOST_COMMENTS >> 6
    ):
        raise Refused(TOO_MUCH_WORK, f"{numbers:,} numbers written as text; convert it to PNG")
    if data.count(b"#", 0, _MOST_COMMENTS) and _comment_reaches(data, header.end()):
        raise Refused(TOO_MUCH_WORK, f"more than {_MOST_COMMENTS:,} bytes before its pixels")
    return check_memory(height, width, 12, len(data))


def _comment_reaches(data: bytes, position: int) -> bool:
    """Return whether a comment after the size is longer than comments usually are."""
    rest = data[position : position + _MOST_COMMENTS].lstrip()
    return rest.startswith(b"#") and not re.match(rb"(?:#[^\r\n]*[\r\n]\s*)+\d", rest)


class _Tiff:
    """The directories of a TIFF (TIFF 6.0, section 2), or of a BigTIFF."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._order = "<" if data[:2] == b"II" else ">"
        self._big = 43 in data[2:4]
        self._count, self._entry, self._offset = ("Q", "HHQ", "Q") if self._big else ("H", "HHL", "L")

    def check(self) -> int:
        """Refuse endless pages, more pages than are read, and a first page too large for its bytes."""
        tags = values = needed = 0
        seen: set[int] = set()
        (at,) = self._read(self._offset, 8 if self._big else 4)
        while at:
            if at in seen:
                raise Refused(DAMAGED, "its pages name each other as the next")
            seen.add(at)
            (count,) = self._read(self._count, at)
            tags += count
            if len(seen) > _MOST_PAGES or tags > _MOST_TAGS:
                raise Refused(TOO_MUCH_WORK, f"more than {_MOST_PAGES:,} pages or {_MOST_TAGS:,} tags")
            page = dict(self._page(at, count))
            values += sum(number * _bytes_of(kind) for kind, number, _ in page.values())
            if values > 2 * len(self._data) + (1 << 20):
                raise Refused(TOO_MUCH_WORK, "its tags hold more bytes than the file")
            if len(seen) == 1:
                needed = self._check_size(page)
            at = self._next(at, count)
        return needed

    def _check_size(self, page: dict[int, tuple[int, int, int]]) -> int:
        for tag in (_STRIPS, _TILES):
            if page.get(tag, (0, 0, 0))[1] > _MOST_STRIPS:
                raise Refused(TOO_MUCH_WORK, f"more than {_MOST_STRIPS:,} strips or tiles")
        width, height = (page.get(tag, (0, 0, 0))[2] for tag in (_WIDTH, _HEIGHT))
        samples = page.get(_SAMPLES, (0, 0, 1))[2]
        _, number, bits = page.get(_BITS, (3, 1, 1))
        if number * 2 > struct.calcsize("=" + self._offset):  # one for each sample, elsewhere in the file
            (bits,) = self._read("H", bits)
        stored = -(-bits // 8)  # bytes of a sample
        held = max(15, samples * _TIFF_HELD.get(stored, 6 * stored))
        return check_memory(height, width, held, len(self._data), 20 * samples * stored)

    def _page(self, at: int, count: int) -> Iterator[tuple[int, tuple[int, int, int]]]:
        """Yield type, number and (first) value of each tag of the directory at `at`."""
        size = struct.calcsize("=" + self._entry + self._offset)
        start = at + struct.calcsize("=" + self._count)
        for entry in range(start, start + size * count, size):
            tag, kind, number = self._read(self._entry, entry)
            inline = number * _bytes_of(kind) <= struct.calcsize("=" + self._offset)
            field = _WHOLE.get(kind, self._offset) if inline else self._offset
            yield tag, (kind, number, self._read(field, entry + struct.calcsize("=" + self._entry))[0])

    def _next(self, at: int, count: int) -> int:
        size = struct.calcsize("=" + self._entry + self._offset)
        return self._read(self._offset, at + struct.calcsize("=" + self._count) + size * count)[0]

    def _read(self, form: str, at: int) -> tuple[int, ...]:
        if at >= len(self._data):  # `at` may exceed a machine word
            raise struct.error("beyond the end of the file")
        return struct.unpack_from(self._order + form, self._data, at)


def _bytes_of(kind: int) -> int:
    return _TYPE_BYTES[kind] if kind < len(_TYPE_BYTES) else 0


_CHECKS: tuple[tuple[bytes, int, Callable[[bytes], int]], ...] = (
    (b"\xff\xd8\xff", 0, lambda data: check_jpeg(segments(data))),
    (b"\x89PNG", 0, _check_png),
    (b"GIF8", 0, _check_gif),
    (b"RIFF", 0, _check_webp),
    (b"BM", 0, _check_bmp),
    (b"ftyp", 4, _check_heif),
    (b"P", 0, _check_pnm),
    *((start, 0, lambda data: _Tiff(data).check()) for start in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")),
)
"""The first bytes of a file, their offset, and the function that checks the cost of such files."""
