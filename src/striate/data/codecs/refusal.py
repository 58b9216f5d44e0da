"""How a codec says no."""

from __future__ import annotations

import math

# Four bytes for each make a gibibyte: above any camera's picture, below what would fill a small machine.
MAXIMUM_PIXELS = 2**28

TRUNCATED, DAMAGED, UNSUPPORTED, TOO_LARGE = "truncated", "damaged", "unsupported", "too many pixels"


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
