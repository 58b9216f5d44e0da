"""Refusals of the codecs, and the checks of size and memory."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from striate.core.memory import available_memory

MAXIMUM_PIXELS = 178_956_970
"""Above any camera's image; Pillow reads no more in WebP and TIFF."""

_most_pixels: ContextVar[int] = ContextVar("most_pixels", default=sys.maxsize)

TRUNCATED, DAMAGED, UNSUPPORTED, TOO_LARGE = "truncated", "damaged", "unsupported", "too many pixels"
TOO_MUCH_WORK = "too much work"
TOO_LITTLE_MEMORY = "too little memory"  # now: the same image may be read later

_SMALL = 960_000_000  # bytes: decoding an image may need so many, whatever the size of its file
_QUICK = 4_500_000_000  # nanoseconds: the same for time
_MOST_EXPANDED = 200  # times its file's bytes, for an image that needs more: a photo needs 5 to 100 times as many
_LOOK_AT = 64 << 20  # bytes: below, the free memory is not checked
_MEMORY_SHARE = 0.5  # of the free memory


class Refused(Exception):  # noqa: N818 – a result, which `decode` turns into an error
    """The bytes do not hold a complete image that can be read: `reason` in a word or two, and `detail`."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail


@contextmanager
def at_most(pixels: int) -> Iterator[None]:
    """Refuse images of more than `pixels` pixels in this thread, before they are decoded."""
    token = _most_pixels.set(pixels)
    try:
        yield
    finally:
        _most_pixels.reset(token)


def check_size(height: int, width: int, channels: int = 1) -> None:
    """Refuse an image whose header declares no pixels or too many, before anything is allocated."""
    if height < 1 or width < 1:
        raise Refused(DAMAGED, f"its size is given as {width}×{height}")
    most = min(_most_pixels.get(), MAXIMUM_PIXELS)
    if height * width * -(-channels // 4) > most:
        raise Refused(TOO_LARGE, f"{width}×{height}; at most {most:,} are read")


def check_memory(height: int, width: int, bytes_per_pixel: int, stored: int, nanoseconds_per_pixel: int = 0) -> int:
    """Refuse an image that needs more memory than is free, or far more memory or time than its `stored` bytes justify.

    `stored` are the bytes of its pixels in the file; `bytes_per_pixel` are those of all copies that decoding, preparing
    or indexing makes at once, and `nanoseconds_per_pixel` the processor time of decoding and indexing. Returns the
    bytes that decoding needs.

    Raises:
        Refused: too many pixels, too much work, or too little memory; the detail says how much they need.
    """
    needed = height * width * bytes_per_pixel
    justified = needed <= _MOST_EXPANDED * stored
    if needed > _SMALL and not justified:
        raise Refused(TOO_LARGE, f"{width}×{height} in {stored:,} bytes, which need {needed / 2**30:.1f} GiB of memory")
    if height * width * nanoseconds_per_pixel > _QUICK and not justified:
        raise Refused(TOO_MUCH_WORK, f"{width}×{height} in {stored:,} bytes")
    if needed > _LOOK_AT and needed > _MEMORY_SHARE * available_memory():
        detail = f"{width}×{height} need {needed / 2**30:.1f} GiB, more than half of what is free"
        raise Refused(TOO_LITTLE_MEMORY, detail)
    return needed


def check_heif(height: int, width: int, stored: int) -> int:
    """Refuse a HEIC or AVIF image that needs too much memory or time: see `check_memory`."""
    return check_memory(height, width, 19, stored, 90)
