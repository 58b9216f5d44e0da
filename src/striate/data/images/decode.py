"""Decode bytes to an upright image with named channels in its own depth, or raise with a reason."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from functools import partial
from pathlib import Path

from striate.core.errors import DataError
from striate.core.memory import room_for
from striate.core.spec import InputSpec
from striate.data.images.codecs import heif, jpeg, pillow, png, pnm, tiff
from striate.data.images.codecs.bounds import check_cost
from striate.data.images.codecs.refusal import TOO_LITTLE_MEMORY, UNSUPPORTED, Refused
from striate.data.images.decoded import DecodedImage
from striate.data.images.kinds import OTHER_CHANNELS, named
from striate.data.preparation.colour import admits

_OF_CAMERAS = (".jpg", ".jpeg", ".jpe", ".jfif", ".heic", ".heif", ".hif")
_OF_THE_WEB = (".png", ".gif", ".bmp", ".tif", ".tiff", ".webp", ".avif", ".ppm", ".pgm", ".pbm", ".pnm")
SUFFIXES = frozenset([*_OF_CAMERAS, *_OF_THE_WEB])
"""Suffixes of image files."""

MISSING = "missing"
"""The reason of an image whose file does not exist."""

_ENOUGH = 1 << 20  # bytes: more than most images have, and few enough to read of a file that is no image
# Without waiting: opening a pipe would otherwise block until another process writes to it.
_OPENING = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
_OTHERS = {
    b"\0\0\0\x0cjP  ": "a JPEG 2000",
    b"\xff\x4f\xff\x51": "a JPEG 2000",
    b"\0\0\0\x0cJXL ": "a JPEG XL",
    b"\xff\x0a": "a JPEG XL",
    b"8BPS": "a document of Photoshop",
    b"\0\0\1\0": "an icon",
    b"icns": "an icon",
    b"DDS ": "a DDS",
    b"qoif": "a QOI",
    b"P7\n": "a PAM",
    b"PF\n": "a PFM",
    b"Pf\n": "a PFM",
    b"v/1\1": "an OpenEXR",
    b"#?RADIANCE": "a Radiance HDR",
    b"SIMPLE  =": "a FITS",
    b"%PDF": "a PDF",
    b"%!PS": "a PostScript",
    b"<svg": "an SVG",
    b"FUJIFILMCCD-RAW": "a raw image of a camera",
    b"IIU\0": "a raw image of a camera",
    b"IIRO": "a raw image of a camera",
}
"""First bytes of image formats that are not read."""
_BMP_HEADERS = (12, 40, 52, 56, 64, 108, 124)


class Unreadable(DataError):  # noqa: N818 – the word in which it is reported
    """An image that cannot be read.

    `name` is its file. `reason` is one of a few phrases, so that images can be counted by it: missing, a folder, not a
    file, no permission, empty, not an image, truncated, damaged, too many pixels, too much work, too little
    memory, unsupported, not readable, other channels. `detail` explains it.
    """

    def __init__(self, name: str, reason: str, detail: str = "") -> None:
        self.name = name
        self.reason = reason
        self.detail = detail
        super().__init__(f"{name} cannot be read: {self.why}.")

    @property
    def why(self) -> str:
        """Reason and detail, which may be the remedy: `unsupported (HEIC needs pi-heif: …)`."""
        return f"{self.reason} ({self.detail})" if self.detail else self.reason


def decode(source: Path | bytes, spec: InputSpec | None = None) -> DecodedImage:
    """Decode an image from a file or from its bytes: completely, or not at all.

    The result is upright by its EXIF orientation. Palettes are looked up, CMYK becomes RGB, colours of an ICC profile
    or of stated primaries become sRGB, transparency becomes a channel, 16 bits are kept, and the first frame of an
    animation is read. With a `spec`, a JPEG much larger than needed is decoded at 1/2, 1/4 or 1/8: a pure function of
    the size of the image and the spec (`striate.data.images.codecs.jpeg.fraction`). The function is thread-safe.

    Raises:
        Unreadable: the image cannot be read; the error names it and the reason.
    """
    name = "the image" if isinstance(source, bytes) else str(source)
    try:
        data = source if isinstance(source, bytes) else _content(source)
        image = _codec(data)(data, spec)
    except Refused as refusal:
        raise Unreadable(name, refusal.reason, refusal.detail) from refusal
    except MemoryError as error:
        raise Unreadable(name, TOO_LITTLE_MEMORY, "it cannot be allocated") from error
    if spec and not admits(image.channels, spec.channels):
        raise Unreadable(
            name, OTHER_CHANNELS, f"it has {named(image.channels)}; the network takes {named(spec.channels)}"
        )
    return image


def _content(path: Path) -> bytes:
    # By system calls: each releases the interpreter lock and has to acquire it again, and `open` makes twice as many
    # of them. Where threads decode small images, that is an eighth of their speed.
    try:
        descriptor = os.open(path, _OPENING)
        try:
            return _whole(descriptor)
        finally:
            os.close(descriptor)
    except ValueError as error:  # a zero byte in its name
        raise Refused("not readable", str(error)) from error
    except FileNotFoundError as error:
        raise Refused(MISSING) from error
    except PermissionError as error:
        raise Refused("a folder" if os.path.isdir(path) else "no permission") from error
    except OSError as error:
        raise Refused("not readable", error.strerror or str(error)) from error


def _whole(descriptor: int) -> bytes:
    status = os.fstat(descriptor)
    if stat.S_ISDIR(status.st_mode):
        raise Refused("a folder")
    if not stat.S_ISREG(status.st_mode):
        raise Refused("not a file")
    data = os.read(descriptor, min(status.st_size, _ENOUGH))
    _codec(data)  # refuses other files before the rest is read, such as a film named .jpg
    while len(data) < status.st_size and (more := os.read(descriptor, status.st_size - len(data))):
        data += more
    return data


def _codec(data: bytes) -> Callable[[bytes, InputSpec | None], DecodedImage]:
    """Return the reader of `data`, chosen by its first bytes and never by its name."""
    if not data:
        raise Refused("empty")
    if data.startswith(b"\xff\xd8\xff"):
        return jpeg.read
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return _bounded(png.read)
    if data[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return _bounded(tiff.read)
    if data[4:8] == b"ftyp":
        return _bounded(heif.read)
    kind = _pillow_kind(data)
    return _bounded(pnm.read if kind == "PNM" else partial(pillow.read, kind=kind))


def _bounded(read: Callable[[bytes], DecodedImage]) -> Callable[[bytes, InputSpec | None], DecodedImage]:
    """Return a reader that refuses what would cost too much; `jpeg.read` does so itself, with segments read once."""

    def bounded(data: bytes, spec: InputSpec | None) -> DecodedImage:
        with room_for(check_cost(data)):
            return read(data)

    return bounded


def _pillow_kind(data: bytes) -> str:
    if data[:6] in (b"GIF87a", b"GIF89a"):
        return "GIF"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WebP"
    if data[:2] == b"BM" and int.from_bytes(data[14:18], "little") in _BMP_HEADERS:
        return "BMP"
    if data[:1] == b"P" and data[1:2] in b"123456" and data[2:3].isspace():
        return "PNM"
    for start, what in _OTHERS.items():
        if data.startswith(start):
            raise Refused(UNSUPPORTED, f"{what}; save it as JPEG or PNG")
    raise Refused("not an image")
