"""How a codec says no."""

from __future__ import annotations

import math

from striate.core.memory import available_memory

MAXIMUM_PIXELS = 178_956_970
"""Above any camera's image; Pillow reads no more in WebP and TIFF."""

TRUNCATED, DAMAGED, UNSUPPORTED, TOO_LARGE = "truncated", "damaged", "unsupported", "too many pixels"
TOO_MUCH_WORK = "too much work"

_SMALL = 1 << 30  # bytes that decoding an image may need whatever its file weighs
_MOST_EXPANDED = 200  # times its file's bytes, for an image that needs more: a photo needs 5 to 100 times as many
_LOOK_AT = 64 << 20  # bytes: below, nobody asks how much memory is free
_MEMORY_SHARE = 0.5  # of what is free


class Refused(Exception):  # noqa: N818 – an answer, which the one door turns into an error
    """The bytes do not hold a whole picture that can be read: a reason in a word or two, and what exactly it is."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail


def check_size(height: int, width: int, channels: int = 1) -> None:
    """Refuse a picture whose header asks for more memory than any picture needs, before anything is allocated."""
    if height < 1 or width < 1:
        raise Refused(DAMAGED, f"its size is given as {width}×{height}")
    if height * width * math.ceil(channels / 4) > MAXIMUM_PIXELS:
        raise Refused(TOO_LARGE, f"{width}×{height}; at most {MAXIMUM_PIXELS:,} are read")


def check_memory(height: int, width: int, bytes_per_pixel: int, stored: int) -> int:
    """Refuse an image that needs more memory than is free, or far more than the `stored` bytes of its pixels account
    for; `bytes_per_pixel` are those of all copies that decoding makes at once. Returns the bytes that it needs.

    Raises:
        Refused: too many pixels; the detail says how much memory they need.
    """
    needed = height * width * bytes_per_pixel
    if needed > _SMALL and needed > _MOST_EXPANDED * stored:
        raise Refused(TOO_LARGE, f"{width}×{height} in {stored:,} bytes, which need {needed / 2**30:.1f} GiB of memory")
    if needed > _LOOK_AT and needed > _MEMORY_SHARE * available_memory():
        raise Refused(TOO_LARGE, f"{width}×{height} need {needed / 2**30:.1f} GiB of memory, more than is free")
    return needed
