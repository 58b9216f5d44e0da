"""Samples of PNG and PNM that are not 8 bits: clear ones, deep ones, interlaced ones; judged by the samples written."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest

from striate.data.images.codecs import png
from striate.data.images.decode import Unreadable, decode


def chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">L", len(content)) + name + content + struct.pack(">L", zlib.crc32(name + content))


def grey_row(depth: int, clear: int) -> bytes:
    """A PNG of one row that holds every sample of this depth, one of them clear."""
    bits = "".join(format(value, f"0{depth}b") for value in range(2**depth))
    row = b"\0" + int(bits.ljust(8, "0"), 2).to_bytes(max(len(bits), 8) // 8, "big")
    header = struct.pack(">LLBBBBB", 2**depth, 1, depth, 0, 0, 0, 0)
    parts = chunk(b"IHDR", header) + chunk(b"tRNS", struct.pack(">H", clear)) + chunk(b"IDAT", zlib.compress(row))
    return b"\x89PNG\r\n\x1a\n" + parts + chunk(b"IEND", b"")


@pytest.mark.parametrize("high", [0, 0x4200], ids=["", "with high bits that do not count"])
@pytest.mark.parametrize("depth", [1, 2, 4, 8])
def test_exactly_the_clear_sample_is_clear(depth: int, high: int) -> None:
    full = 2**depth - 1
    for clear in {0, full // 3, full}:
        picture = decode(grey_row(depth, clear | high))
        assert picture.channels == ("grey", "alpha")
        assert np.flatnonzero(picture.pixels[0, :, 1] == 0).tolist() == [clear]
        assert picture.pixels[0, :, 0].tolist() == [value * 255 // full for value in range(full + 1)]


SIXTEEN = np.random.default_rng(1).integers(0, 65536, (11, 13, 4), dtype=np.uint16)


@pytest.mark.parametrize("interlaced", [False, True], ids=["in rows", "interlaced"])
@pytest.mark.parametrize(("colour", "channels"), [(0, 1), (2, 3), (4, 2), (6, 4)])
def test_both_bytes_of_sixteen_bits_are_kept(colour: int, channels: int, interlaced: bool) -> None:
    pixels = SIXTEEN[..., :channels]
    passes = png._ADAM7 if interlaced else ((0, 0, 1, 1),)
    parts = [pixels[top::down, left::right].astype(">u2") for top, left, down, right in passes]
    rows = b"".join(b"\0" + row.tobytes() for part in parts for row in part if row.size)
    header = struct.pack(">LLBBBBB", 13, 11, 16, colour, 0, 0, int(interlaced))
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    assert np.array_equal(decode(data).pixels, pixels)


TEN_BITS = [0, 511, 1023, 1023, 2, 1]
HEADS = {
    "on lines": "2 1\n1023\n",
    "on one line": "2 1 1023\n",
    "a comment behind the kind": "# made by hand\n2 1\n1023\n",
    "a comment behind the width": "2 # wide\n1\n1023\n",
    "comments everywhere": "# a\n# b\n2# c\n\t# d\n1 # e\r\n1023\n",
}


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("kind", ["P3", "P6"])
def test_colours_of_ten_bits_are_kept_wherever_the_comments_stand(kind: str, head: str) -> None:
    body = struct.pack(">6H", *TEN_BITS) if kind == "P6" else " ".join(map(str, TEN_BITS)).encode()
    picture = decode(f"{kind}\n{HEADS[head]}".encode() + body)
    assert picture.maximum == 65535
    assert np.abs(picture.pixels.ravel() / 65535 * 1023 - TEN_BITS).max() < 0.01


def test_deep_colours_that_are_not_all_there_or_too_large_are_named() -> None:
    body = struct.pack(">6H", *TEN_BITS)
    for data, reason in (
        (b"P6\n2 1\n1023\n" + body[:-1], "truncated"),
        (b"P3\n2 1\n1023\n1 2 3 4 5", "truncated"),
        (b"P3\n2 1\n1023\n1 2 3 4 5 x", "damaged"),
        (b"P6\n2 1\n1000\n" + body, "damaged"),
        (b"P6\n99999 99999\n1023\n" + body, "too many pixels"),
    ):
        with pytest.raises(Unreadable) as caught:
            decode(data)
        assert caught.value.reason == reason


@pytest.mark.parametrize(
    "extra",
    [
        chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(1 << 21))),
        chunk(b"iCCP", b"mine\0\1" + zlib.compress(b"x" * 99)),
        chunk(b"acTL", struct.pack(">LL", 2, 0)) + chunk(b"fdAT", struct.pack(">L", 0)),
    ],
    ids=["a long text", "a profile of an unknown kind", "an animation without frames"],
)
def test_pixels_are_read_whatever_is_wrong_in_the_rest_of_the_file(extra: bytes) -> None:
    data = grey_row(4, 5)
    picture = decode(data[:33] + extra + data[33:])
    assert np.array_equal(picture.pixels, decode(data).pixels)
    assert "all but the pixels" in picture.note


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("frames", [(0,), (2, 2), (0x80000001,)])
def test_an_animation_that_pillow_warns_of_is_left_out_without_a_warning(frames: tuple[int, ...]) -> None:
    data = grey_row(4, 5)
    announced = b"".join(chunk(b"acTL", struct.pack(">LL", count, 0)) for count in frames)
    picture = decode(data[:33] + announced + data[33:])
    assert np.array_equal(picture.pixels, decode(data).pixels)
