"""Damaged image files: each is named with its reason, or decoded in full; nothing crashes, nothing hangs.

Three judges. A file that is merely cut off holds nothing new, so it may give the whole original or nothing. What the
file's own format would not accept, by the word of an independent decoder, must not be accepted here. And what is
accepted here must be what Pillow, through its own door, makes of the same bytes.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable, Iterator

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image, ImageOps

from striate.data.images.codecs import refusal
from striate.data.images.decode import Unreadable, decode

MUTANTS = 250

pytestmark = [
    # Pillow and tifffile also warn of what they find in damaged files.
    pytest.mark.filterwarnings("ignore::UserWarning"),
    pytest.mark.filterwarnings("ignore::RuntimeWarning:tifffile"),
]


def drawing() -> Image.Image:
    """64×80 pixels of smooth colour with a rough patch, so that files are neither tiny nor all alike."""
    y, x = np.mgrid[0:64, 0:80]
    pixels = np.stack([x * 3 % 256, y * 4 % 256, x * y % 256], axis=2).astype(np.uint8)
    pixels[20:40, 20:40] = np.random.default_rng(1).integers(0, 256, (20, 20, 3))
    return Image.fromarray(pixels)


def saved(kind: str, image: Image.Image, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def tiff(pixels: np.ndarray, **options: object) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, pixels, **options)  # pyright: ignore[reportArgumentType]
    return buffer.getvalue()


IMAGE = drawing()
PLANES = np.ascontiguousarray(np.asarray(IMAGE)[..., [0, 1, 2, 1, 0]].transpose(2, 0, 1))
DEEP = np.asarray(IMAGE).astype(np.uint16) * 257

FILES: dict[str, bytes] = {
    "jpeg": saved("JPEG", IMAGE),
    "jpeg-progressive": saved("JPEG", IMAGE, progressive=True),
    "jpeg-grey": saved("JPEG", IMAGE.convert("L")),
    "jpeg-cmyk": saved("JPEG", IMAGE.convert("CMYK")),
    "png": saved("PNG", IMAGE),
    "png-palette": saved("PNG", IMAGE.quantize(20)),
    "png-16-bit": bytes(imagecodecs.png_encode(DEEP)),
    "gif": saved("GIF", IMAGE.quantize(64)),
    "gif-animated": saved(
        "GIF", IMAGE.quantize(64), save_all=True, append_images=[IMAGE.transpose(Image.Transpose.ROTATE_180)]
    ),
    "bmp": saved("BMP", IMAGE),
    "bmp-palette": saved("BMP", IMAGE.quantize(16)),
    "webp": saved("WEBP", IMAGE),
    "webp-lossless": saved("WEBP", IMAGE, lossless=True),
    "tiff": saved("TIFF", IMAGE),
    "tiff-lzw": saved("TIFF", IMAGE, compression="tiff_lzw"),
    "tiff-jpeg": saved("TIFF", IMAGE, compression="jpeg"),
    "tiff-jpeg-behind-its-header": tiff(np.asarray(IMAGE), photometric="rgb", compression="jpeg"),
    "tiff-jpeg-planes": tiff(PLANES, photometric="minisblack", planarconfig="separate", compression="jpeg"),
    "tiff-jpeg-pages": tiff(PLANES, photometric="minisblack", compression="jpeg"),
    "tiff-16-bit": tiff(DEEP, photometric="rgb"),
    "tiff-16-bit-deflate": tiff(DEEP, photometric="rgb", compression="zlib"),
    "tiff-5-channels": tiff(
        np.concatenate([DEEP, DEEP[..., :2]], axis=2), photometric="minisblack", planarconfig="contig"
    ),
}


def mutants(data: bytes, count: int, seed: int) -> Iterator[bytes]:
    """`count` damaged versions: bytes changed, anywhere or in the header; pieces lost, inserted, doubled or blanked."""
    draw = np.random.default_rng(seed)
    for number in range(count):
        damaged = bytearray(data)
        start = int(draw.integers(len(data)))
        piece = slice(start, start + int(draw.integers(1, 64)))
        match number % 6:
            case 0:
                for place in draw.integers(len(data), size=draw.integers(1, 5)):
                    damaged[place] = draw.integers(256)
            case 1:
                damaged[draw.integers(min(len(data), 200))] = draw.integers(256)
            case 2:
                del damaged[piece]
            case 3:
                damaged[start:start] = draw.bytes(int(draw.integers(1, 64)))
            case 4:
                damaged[start:start] = damaged[piece]
            case 5:
                damaged[piece] = bytes(len(damaged[piece]))
        yield bytes(damaged)


def attempt(data: bytes) -> np.ndarray | None:
    """The decoded pixels, or None if the file was named as unreadable with a reason; anything else fails the test."""
    try:
        picture = decode(data)
    except Unreadable as error:
        named = error
    else:
        assert picture.pixels.shape[:2] == picture.original
        assert len(picture.channels) == picture.pixels.shape[2]
        return picture.pixels
    assert named.reason
    assert str(named).endswith(".")
    return None


@pytest.fixture(autouse=True)
def _moderate_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """A changed size field may ask for a large but lawful image; here nothing larger than a photo is needed."""
    monkeypatch.setattr(refusal, "MAXIMUM_PIXELS", 2**22)


@pytest.fixture
def _quiet(capfd: pytest.CaptureFixture[str]) -> Iterator[None]:
    """libtiff writes its complaints to the standard error stream itself."""
    yield
    capfd.readouterr()


@pytest.mark.usefixtures("_quiet")
@pytest.mark.parametrize("name", FILES)
def test_a_damaged_file_is_decoded_in_full_or_named(name: str) -> None:
    outcomes = [attempt(data) is None for data in mutants(FILES[name], MUTANTS, seed=len(name))]
    assert len(outcomes) == MUTANTS
    assert any(outcomes)


@pytest.mark.usefixtures("_quiet")
@pytest.mark.parametrize("name", FILES)
def test_a_truncated_file_gives_the_whole_image_or_nothing(name: str) -> None:
    """Whole: what was cut off was not of the image (a later frame, a table after the pixels)."""
    data = FILES[name]
    whole = decode(data).pixels
    lengths = np.unique(np.linspace(0, len(data) - 1, 200).astype(int))
    refused = 0
    for length in lengths:
        pixels = attempt(data[:length])
        refused += pixels is None
        assert pixels is None or np.array_equal(pixels, whole), f"{length} of {len(data)} bytes"
    assert refused > 0.3 * len(lengths)  # more than half of the animation is its second frame


@pytest.mark.usefixtures("_quiet")
@pytest.mark.parametrize("name", ["jpeg", "jpeg-grey", "jpeg-progressive"])
def test_a_jpeg_that_ends_anywhere_in_its_head_is_refused(name: str) -> None:
    scan = FILES[name].index(b"\xff\xda")
    assert all(attempt(FILES[name][:length]) is None for length in range(scan + 14))


def _jpeg_ending(data: bytes) -> bytes:
    return data + b"\xff\xd9"


def _gif_ending(data: bytes) -> bytes:
    return data + b"\0\x3b"


ENDINGS: dict[str, Callable[[bytes], bytes]] = {
    "jpeg": _jpeg_ending,
    "jpeg-grey": _jpeg_ending,
    "jpeg-cmyk": _jpeg_ending,
    "gif": _gif_ending,
}


@pytest.mark.parametrize("name", ENDINGS)
def test_a_truncated_file_with_a_proper_end_mark_is_not_half_grey(name: str) -> None:
    """What a decoder that believes the end mark would fill up with grey."""
    data = FILES[name]
    whole = decode(data).pixels
    for length in np.linspace(0.3 * len(data), len(data) - 40, 60).astype(int):
        pixels = attempt(ENDINGS[name](data[:length]))
        assert pixels is None or np.array_equal(pixels, whole)


@pytest.mark.parametrize("kept", [0, 1, 100, 7000, 15423])
def test_a_png_whose_stream_ends_early_is_not_half_black(kept: int) -> None:
    """Right checksums and a properly ended stream, but rows are missing: Pillow takes it, and fills up with black."""
    rows = b"".join(b"\0" + row.tobytes() for row in np.asarray(IMAGE))
    assert len(rows) == 15424
    chunks = [(b"IHDR", struct.pack(">LLBBBBB", 80, 64, 8, 2, 0, 0, 0)), (b"IDAT", zlib.compress(rows[:kept]))]
    data = b"\x89PNG\r\n\x1a\n"
    for name, content in [*chunks, (b"IEND", b"")]:
        data += struct.pack(">L", len(content)) + name + content + struct.pack(">L", zlib.crc32(name + content))
    with pytest.raises(Unreadable, match=f"{15424 - kept:,} of 15,424 bytes") as caught:
        decode(data)
    assert caught.value.reason == "truncated"


def test_a_flipped_bit_anywhere_in_the_pixels_of_a_png_is_noticed() -> None:
    """By the checksums of the file: some of these streams inflate well, and to another image."""
    data = saved("PNG", IMAGE, compress_level=1)
    start, end = data.index(b"IDAT") + 4, data.index(b"IEND") - 8
    for place in range(start, end):
        damaged = bytearray(data)
        damaged[place] ^= 1 << place % 8
        assert attempt(bytes(damaged)) is None


@pytest.mark.parametrize("compression", [None, "zlib", "jpeg"])
def test_a_tiff_whose_strips_are_missing_is_not_black(compression: str | None) -> None:
    """A strip of no bytes is lawful for maps with holes; tifffile and libtiff fill it with zeros."""
    pixels = np.asarray(IMAGE) if compression == "jpeg" else DEEP
    buffer = io.BytesIO(tiff(pixels, photometric="rgb", compression=compression, rowsperstrip=16))
    with tifffile.TiffFile(buffer, mode="r+") as file:
        counts = file.pages.first.tags["StripByteCounts"]
        counts.overwrite([*counts.value[:2], 0, *counts.value[3:]])
    with pytest.raises(Unreadable) as caught:
        decode(buffer.getvalue())
    assert caught.value.reason == "truncated"


def _imagecodecs_takes(name: str, data: bytes) -> bool:
    try:
        {"png": imagecodecs.png_decode, "webp": imagecodecs.webp_decode}[name](data)
    except Exception:  # it may also stumble over its own message about the damage
        return False
    return True


@pytest.mark.parametrize("name", ["png", "webp"])
def test_files_that_another_decoder_refuses_are_refused(name: str) -> None:
    both = 0
    for data in mutants(FILES[name], MUTANTS, seed=99):
        if not _imagecodecs_takes(name, data):
            assert attempt(data) is None
            both += 1
    assert both > 50


@pytest.mark.usefixtures("_quiet")
@pytest.mark.parametrize("name", ["jpeg", "jpeg-progressive", "png", "gif", "bmp", "webp", "tiff", "tiff-lzw"])
def test_accepted_files_decode_as_with_pillow(name: str) -> None:
    compared = 0
    for data in mutants(FILES[name], MUTANTS, seed=7):
        pixels = attempt(data)
        if pixels is None:
            continue
        try:
            with Image.open(io.BytesIO(data)) as picture:
                mode = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}[pixels.shape[2]]
                judged = np.asarray(ImageOps.exif_transpose(picture).convert(mode))
        except Exception:  # Pillow's door looks at more than the pixels: it has no opinion
            continue
        assert np.abs(pixels.astype(int) - judged.reshape(pixels.shape)).mean() < 1
        compared += 1
    assert compared > 20 or name == "png"


def test_nothing_random_is_taken_for_an_image() -> None:
    draw = np.random.default_rng(0)
    heads = [data[:12] for data in FILES.values()] + [b""]
    for number in range(400):
        assert attempt(heads[number % len(heads)] + draw.bytes(int(draw.integers(1, 3000)))) is None
