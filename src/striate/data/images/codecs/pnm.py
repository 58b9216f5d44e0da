"""Decode PNM: through Pillow, except colours of more than 8 bits, which Pillow reduces to 8."""

from __future__ import annotations

import re

import numpy as np

from striate.core.spec import RGB
from striate.data.images.codecs import pillow
from striate.data.images.codecs.refusal import DAMAGED, TRUNCATED, Refused, check_size
from striate.data.images.decoded import DecodedImage, by_rows

_GAP = rb"(?:\s|#[^\r\n]*[\r\n])+"  # white space and comments, both of which are allowed between any two numbers
_COLOURS = re.compile(rb"P([36])" + _GAP + rb"(\d{1,9})" + _GAP + rb"(\d{1,9})" + _GAP + rb"(\d{1,5})\s")
_COMMENT = re.compile(rb"#[^\r\n]*")


def read(data: bytes) -> DecodedImage:
    """Decode a PNM; colours whose maximum is above 255 become 16 bits, with the maximum at full intensity."""
    head = _COLOURS.match(data)
    if head is None or not 255 < int(head[4]) <= 65535:
        return pillow.read(data, "PNM")
    width, height, maximum = int(head[2]), int(head[3]), int(head[4])
    check_size(height, width)
    count = height * width * len(RGB)
    values = _plain(data[head.end() :], count) if head[1] == b"3" else _raw(data, head.end(), count)
    if len(values) < count:
        raise Refused(TRUNCATED, f"{count - len(values):,} of {count:,} samples are missing")
    if values.max() > maximum:
        raise Refused(DAMAGED, f"a sample is {values.max()}, above the maximum of {maximum}")
    stored = values.reshape(1, height, width, len(RGB))
    pixels = by_rows(lambda part: np.rint(part * (65535 / maximum)).astype(np.uint16), stored)[0]
    return DecodedImage(pixels, RGB, (height, width), mode="PNM RGB;16")


def _raw(data: bytes, start: int, count: int) -> np.ndarray:
    return np.frombuffer(data, ">u2", min(count, (len(data) - start) // 2), start)


def _plain(text: bytes, count: int) -> np.ndarray:
    numbers = _COMMENT.sub(b"", text).split(None, count)[:count]
    try:
        return np.array([int(number) for number in numbers], np.int64)
    except (ValueError, OverflowError) as error:
        raise Refused(DAMAGED, "a sample is not a number") from error
