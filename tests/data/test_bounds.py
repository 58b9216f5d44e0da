"""What an image would cost is counted before it is decoded: bombs are refused, and lawful images are read."""

from __future__ import annotations

import io
import struct
import threading
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from striate.core import memory
from striate.data.images.codecs import refusal
from striate.data.images.codecs.bounds import check_cost
from striate.data.images.codecs.refusal import Refused
from striate.data.images.decode import Unreadable, decode


def _saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    image.save(buffer := io.BytesIO(), kind, **options)
    return buffer.getvalue()


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">L", len(content)) + name + content + struct.pack(">L", zlib.crc32(name + content))


def _png(side: int, colour: int, between: bytes = b"") -> bytes:
    """A PNG whose header promises side × side pixels."""
    header = struct.pack(">LLBBBBB", side, side, 8, colour, 0, 0, 0)
    pixels = _chunk(b"IDAT", zlib.compress(bytes(100)))
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + between + pixels + _chunk(b"IEND", b"")


def _page(side: int, following: int, tags: dict[int, tuple[int, int, int]] | None = None) -> bytes:
    """A TIFF directory of a side × 10 image of 8 bits whose pixels lie at 8; `tags`: type, count and value."""
    plain = {256: side, 257: 10, 258: 8, 259: 1, 262: 1, 273: 8, 277: 1, 278: 10}
    rows = {tag: (3, 1, value) for tag, value in plain.items()} | {279: (4, 1, 10 * side)} | (tags or {})
    return (
        struct.pack("<H", len(rows))
        + b"".join(struct.pack("<HHLL", tag, *row) for tag, row in sorted(rows.items()))
        + struct.pack("<L", following)
    )


def _tiff(directories: Callable[[int], bytes]) -> bytes:
    return b"II*\0" + struct.pack("<L", 108) + bytes(100) + directories(108)


def _pages(count: int) -> bytes:
    size = len(_page(10, 0))
    return _tiff(lambda at: b"".join(_page(10, at + size * n if n < count else 0) for n in range(1, count + 1)))


def _with_screen(width: int, height: int) -> bytes:
    data = bytearray(_saved(Image.new("P", (10, 10)), "GIF"))
    struct.pack_into("<HH", data, 6, width, height)
    return bytes(data)


def _with_frame(width: int, height: int) -> bytes:
    data = bytearray(_saved(Image.new("P", (10, 10)), "GIF"))
    struct.pack_into("<HH", data, data.index(b"\x2c\0\0\0\0") + 5, width, height)
    return bytes(data)


def _scans(count: int) -> bytes:
    """A progressive JPEG of 2000×2000 whose last scan is there `count` times more."""
    data = _saved(Image.new("RGB", (2000, 2000), (1, 2, 3)), "JPEG", progressive=True)
    return data[:-2] + data[data.rindex(b"\xff\xda") : -2] * count + data[-2:]


def _bmp_of_runs(side: int) -> bytes:
    """One pixel in each row, and then the end of the row."""
    rows = b"\x01\x05\0\0" * side + b"\0\x01"
    header = struct.pack("<LllHHLLllLL", 40, side, side, 1, 8, 1, len(rows), 0, 0, 256, 0)
    start = 14 + len(header) + 1024
    return b"BM" + struct.pack("<LHHL", start + len(rows), 0, 0, start) + header + bytes(1024) + rows


def _webp(kind: bytes) -> bytes:
    sides = (16382).to_bytes(3, "little") * 2
    content = {
        b"VP8X": b"VP8X" + struct.pack("<L", 10) + bytes(4) + sides,
        b"VP8L": b"VP8L" + struct.pack("<L", 5) + b"\x2f" + struct.pack("<L", 16382 | 16382 << 14),
        b"VP8 ": b"VP8 " + struct.pack("<L", 10) + b"\x10\0\0\x9d\x01\x2a" + struct.pack("<HH", 16383, 16383),
    }[kind]
    return b"RIFF" + struct.pack("<L", 4 + len(content)) + b"WEBP" + content


BOMBS: dict[str, Callable[[], bytes]] = {
    "PNG with alpha": lambda: _png(16384, 6),
    "PNG of 16 bits": lambda: _png(16384, 0)[:24] + b"\x10" + _png(16384, 0)[25:],
    "PNG behind a large text": lambda: _png(16384, 6, _chunk(b"tEXt", b"a\0" + bytes(1 << 22))),
    "PNG of 100,001 chunks": lambda: _png(10, 0, _chunk(b"tEXt", b"a\0b") * 100_001),
    "GIF with a huge screen": lambda: _with_screen(16384, 16384),
    "GIF with a huge frame": lambda: _with_frame(16384, 16384),
    "WebP, extended": lambda: _webp(b"VP8X"),
    "WebP, lossless": lambda: _webp(b"VP8L"),
    "WebP, lossy": lambda: _webp(b"VP8 "),
    "TIFF whose pages go round": lambda: _tiff(lambda at: _page(10, at + len(_page(10, 0))) + _page(9, at)),
    "TIFF that is its own next page": lambda: _tiff(lambda at: _page(10, at)),
    "TIFF of 5,000 pages": lambda: _pages(5000),
    "TIFF of 2¹⁷ strips": lambda: _tiff(lambda at: _page(10, 0, {273: (4, 200_000, 8)})),
    "TIFF whose tags share bytes": lambda: _tiff(
        lambda at: _page(10, 0, {40_000 + n: (1, 50_000, 8) for n in range(100)})
    ),
    "TIFF of floating values": lambda: _tiff(
        lambda at: _page(60_000, 0, {257: (3, 1, 20_000), 258: (3, 1, 64), 339: (3, 1, 3)})
    ),
    "JPEG of 500 scans": lambda: _scans(500),
    "BMP of runs": lambda: _bmp_of_runs(5000),
    "PNM behind a long comment": lambda: b"P5\n#" + b"a" * (1 << 17) + b"\n10 10\n255\n" + bytes(100),
    "PNM with a comment behind the size": lambda: b"P5\n10 10\n#" + b"a" * (1 << 17) + b"\n255\n" + bytes(100),
    "PNM of comments": lambda: b"P2\n10 10\n255\n" + b"#a\n" * (1 << 16) + b"1 " * 100,
    "PNM of text": lambda: b"P3\n3000 3000\n255\n" + b"1 ",
    "AVIF with a huge canvas": lambda: b"\0\0\0\x1cftypavif\0\0\0\0avifmif1miaf" + _metadata(16384),
    "HEIC with a huge canvas after padding": lambda: _heic(16384, padding=1 << 17),
    "HEIC of 5,000 boxes": lambda: _heic(16, padding=0)[:24] + struct.pack(">L4s", 8, b"free") * 5_000,
    "HEIC of 70,000 images": lambda: _heic(16, images=70_000),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused_before_anything_is_decoded(name: str) -> None:
    with pytest.raises(Refused) as caught:
        check_cost(BOMBS[name]())
    assert caught.value.reason in ("too many pixels", "too much work", "damaged")
    assert caught.value.detail


LAWFUL: dict[str, Callable[[], bytes]] = {
    "JPEG": lambda: _saved(Image.new("RGB", (4000, 3000)), "JPEG"),
    "progressive JPEG": lambda: _saved(Image.new("RGB", (4000, 3000)), "JPEG", progressive=True),
    "PNG": lambda: _saved(Image.new("RGBA", (4000, 3000)), "PNG", compress_level=1),
    "scan of one bit": lambda: _saved(Image.new("1", (9900, 7000)), "PNG", compress_level=1),
    "GIF": lambda: _saved(Image.new("P", (2000, 1000)), "GIF"),
    "animated GIF": lambda: _saved(
        Image.new("P", (9, 9)), "GIF", save_all=True, append_images=[Image.new("P", (9, 9), n) for n in range(1, 200)]
    ),
    "WebP": lambda: _saved(Image.new("RGB", (2000, 1000)), "WEBP", method=0),
    "lossless WebP with alpha": lambda: _saved(Image.new("RGBA", (900, 700)), "WEBP", lossless=True, method=0),
    "AVIF": lambda: _saved(Image.new("RGB", (64, 48)), "AVIF"),
    "BMP": lambda: _saved(Image.new("RGB", (900, 700)), "BMP"),
    "BMP of runs": lambda: _bmp_of_runs(300),
    "PNM": lambda: b"P6 # by a scanner\n# of 1999\n9 7\n# its depth\n255\n" + bytes(9 * 7 * 3),
    "PNM of text": lambda: b"P2\n30 10\n255\n# a comment\n" + b"1 " * 300,
    "TIFF": lambda: _saved(Image.new("RGB", (900, 700)), "TIFF"),
    "TIFF of pages": lambda: _pages(500),
}


@pytest.mark.parametrize("name", LAWFUL)
def test_a_lawful_image_is_decoded_and_its_cost_covers_its_pixels(name: str) -> None:
    data = LAWFUL[name]()
    picture = decode(data)
    assert check_cost(data) >= picture.pixels.nbytes


@pytest.mark.parametrize("big", [False, True])
def test_the_size_of_a_tiff_is_read_in_both_orders_and_forms(big: bool) -> None:
    for order in ("<", ">"):
        tifffile.imwrite(buffer := io.BytesIO(), np.zeros((20, 30, 3), np.uint16), byteorder=order, bigtiff=big)
        assert check_cost(buffer.getvalue()) == 20 * 30 * 3 * 2 * 4


def test_a_photo_of_48_megapixels_is_read() -> None:
    pixels = np.add.outer(np.arange(6000, dtype=np.uint8), np.arange(8000, dtype=np.uint8))
    assert decode(_saved(Image.fromarray(pixels), "JPEG")).original == (6000, 8000)


def test_a_hundred_megapixels_of_colour_are_within_bounds() -> None:
    photo = _png(10_000, 2, _chunk(b"IDAT", bytes(6_000_000)))  # photos have far more bytes
    assert check_cost(photo) == 1_000_000_000


def _sixteen_bits(data: bytes) -> bytes:
    return data[:24] + b"\x10" + data[25:]


def _jpeg(side: int, mode: str, **options: Any) -> bytes:
    """A JPEG whose header promises side × side pixels."""
    data = bytearray(_saved(Image.new(mode, (16, 16)), "JPEG", **options))
    frame = max(data.find(b"\xff\xc0"), data.find(b"\xff\xc2"))
    struct.pack_into(">HH", data, frame + 5, side, side)
    return bytes(data)


def _heic(side: int, *, padding: int | None = None, images: int = 1) -> bytes:
    padded = b"" if padding is None else struct.pack(">L4s", 8 + padding, b"free") + bytes(padding)
    return b"\0\0\0\x18ftypheic\0\0\0\0heicmif1" + padded + _metadata(side, images)


def _metadata(side: int, images: int = 1) -> bytes:
    """A metadata box with the sizes of images, as HEIC and AVIF files have it."""
    sizes = (b"\0\0\0\x14ispe" + bytes(4) + struct.pack(">LL", side, side)) * images
    return struct.pack(">L4s4x", 12 + len(sizes), b"meta") + sizes


def _lossless_webp(side: int) -> bytes:
    return b"RIFF\0\0\0\0WEBPVP8L" + struct.pack("<L", 5) + b"\x2f" + struct.pack("<L", side - 1 | side - 1 << 14)


def _webp_with_a_profile(side: int) -> bytes:
    sides = (side - 1).to_bytes(3, "little") * 2
    return b"RIFF\0\0\0\0WEBPVP8X" + struct.pack("<L", 10) + b"\x20\0\0\0" + sides


def _deep_tiff(side: int, samples: int, bits: int) -> bytes:
    inline = {258: (3, 1, bits), 277: (3, 1, samples)}
    return _tiff(lambda at: _page(side, 0, {257: (3, 1, side)} | inline))


MEASURED: dict[str, tuple[Callable[[int], bytes], float, float]] = {
    "WebP": (_lossless_webp, 20.0, 62),
    "WebP with a profile": (_webp_with_a_profile, 26.0, 110),
    "PNG of 16 bits, RGBA": (lambda side: _sixteen_bits(_png(side, 6)), 20.0, 180),
    "PNG of 16 bits, RGB": (lambda side: _sixteen_bits(_png(side, 2)), 16.0, 91),
    "PNG of 16 bits, grey and alpha": (lambda side: _sixteen_bits(_png(side, 4)), 16.0, 94),
    "PNG of RGBA": (lambda side: _png(side, 6), 12.0, 80),
    "PNG of RGBA with a profile": (lambda side: _png(side, 6, _chunk(b"iCCP", b"a")), 18.0, 100),
    "PNG of RGB": (lambda side: _png(side, 2), 10.0, 43),
    "PNG of a palette with alpha": (lambda side: _png(side, 3, _chunk(b"tRNS", b"\x80")), 13.0, 60),
    "progressive JPEG": (lambda side: _jpeg(side, "RGB", progressive=True), 8.1, 41),
    "JPEG with a profile": (lambda side: _jpeg(side, "RGB", icc_profile=bytes(200)), 8.1, 53),
    "JPEG of inks": (lambda side: _jpeg(side, "CMYK", progressive=True), 12.0, 52),
    "HEIC": (_heic, 18.8, 90),
    "TIFF of RGBA": (lambda side: _deep_tiff(side, 4, 8), 12.0, 61),
    "TIFF of floating values": (lambda side: _deep_tiff(side, 1, 32), 21.0, 56),
}
"""A small file that promises many pixels; the measured bytes and nanoseconds of each, read, prepared and indexed."""


@pytest.mark.parametrize("name", MEASURED)
def test_no_small_file_passes_that_takes_a_gigabyte_or_five_seconds(name: str) -> None:
    make, held, nanoseconds = MEASURED[name]
    side = int(min(1e9 / held, 5e9 / nanoseconds) ** 0.5)
    with pytest.raises(Refused):
        check_cost(make(side + 1))
    assert check_cost(make(side // 2)) > 0


@pytest.mark.parametrize("name", MEASURED)
def test_photos_of_24_megapixels_are_within_the_bounds(name: str) -> None:
    if "floating" not in name:
        assert check_cost(MEASURED[name][0](4899)) > 0


def test_an_image_for_which_the_memory_does_not_suffice_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    data = _saved(Image.new("RGB", (4000, 3000)), "PNG", compress_level=1)
    monkeypatch.setattr(refusal, "available_memory", lambda: 200 << 20)
    with pytest.raises(Unreadable, match=r"too little memory \(4000×3000 need 0\.1 GiB, more than half of what is"):
        decode(data)


def test_unknown_structures_are_left_to_the_decoder() -> None:
    for name, make in LAWFUL.items():
        data = make()
        for length in (0, 3, 9, 12, 20, 30):
            assert check_cost(data[:length]) >= 0, name


def test_threads_that_need_much_memory_wait_for_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each needs 0.4 of the half that is free, so never more than two hold theirs at once."""
    monkeypatch.setattr(memory, "available_memory", lambda: (1 << 30) - memory._taken)
    together: list[int] = []
    inside, begun = threading.Semaphore(0), threading.Barrier(2)

    def work() -> None:
        with memory.room_for(int(0.2 * (1 << 30))):
            together.append(round(memory._taken / (0.2 * (1 << 30))))
            begun.wait(timeout=20)  # two at a time, or it breaks
        inside.release()

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=20)
    assert len(together) == 6
    assert max(together) == 2
    assert memory._taken == 0
