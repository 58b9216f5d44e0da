"""HEIC and AVIF, written by pillow-heif and Pillow: decoded as pillow-heif and Pillow decode them, or named."""

from __future__ import annotations

import io
import subprocess
import sys

import numpy as np
import pillow_heif
import pytest
from PIL import Image, ImageOps

from striate.data.images.decode import Unreadable, decode

RGB, GREY, ALPHA = ("red", "green", "blue"), ("grey",), ("alpha",)


def scene(height: int = 48, width: int = 64) -> np.ndarray:
    """A smooth RGB image without any symmetry, (h, w, 3)."""
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([255 * x / width, 255 * y / height, 60 + 2 * x], axis=2).astype(np.uint8)


def heic(pixels: np.ndarray, **options: object) -> bytes:
    pillow_heif.from_pillow(Image.fromarray(pixels)).save(buffer := io.BytesIO(), quality=95, **options)
    return buffer.getvalue()


def deep_heic(pixels: np.ndarray, mode: str) -> bytes:
    height, width = pixels.shape[:2]
    file = pillow_heif.from_bytes(mode, (width, height), pixels.tobytes())
    file.save(buffer := io.BytesIO(), quality=-1, chroma=444)
    return buffer.getvalue()


def avif(pixels: np.ndarray, **options: object) -> bytes:
    Image.fromarray(pixels).save(buffer := io.BytesIO(), "AVIF", quality=95, **options)
    return buffer.getvalue()


def oriented(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif.tobytes()


TRANSLUCENT = np.dstack([scene(), np.linspace(0, 255, 48 * 64).reshape(48, 64).astype(np.uint8)])


@pytest.mark.parametrize("write", [heic, avif], ids=["HEIC", "AVIF"])
@pytest.mark.parametrize(
    ("pixels", "channels"),
    [(scene(), RGB), (TRANSLUCENT, RGB + ALPHA), (scene()[..., 0], None)],
    ids=["colour", "alpha", "grey"],
)
def test_what_a_phone_writes_is_read(write, pixels: np.ndarray, channels: tuple[str, ...] | None) -> None:
    picture = decode(write(pixels))
    if channels:
        assert picture.channels == channels
    assert np.abs(picture.pixels.astype(int) - pixels.reshape(48, 64, -1)).mean() < 3
    assert picture.original == (48, 64)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["HEIC", "AVIF"])
def test_an_image_is_turned_exactly_once(kind: str, orientation: int) -> None:
    data = (heic if kind == "HEIC" else avif)(scene(), exif=oriented(orientation))
    image = Image.fromarray(scene())
    image.getexif()[0x0112] = orientation
    judged = np.asarray(ImageOps.exif_transpose(image)).astype(int)
    picture = decode(data)
    assert picture.pixels.shape == judged.shape
    assert np.abs(picture.pixels - judged).mean() < 3


@pytest.mark.parametrize(("mode", "count"), [("RGB;16", 3), ("RGBA;16", 4)])
def test_ten_bits_of_heic_keep_their_full_range(mode: str, count: int) -> None:
    y, x = np.mgrid[0:48, 0:64]
    pixels = np.stack([x / 63, y / 47, (x + y) / 110, np.ones((48, 64))], axis=2)[..., :count]
    picture = decode(deep_heic(np.rint(pixels * 65535).astype(np.uint16), mode))
    assert picture.maximum == 65535
    assert picture.pixels.dtype == np.uint16
    assert np.abs(picture.pixels / 65535 - pixels).max() < 0.004
    assert picture.pixels.max() == 65535
    assert len(np.unique(picture.pixels[..., 2])) > 100


def test_premultiplied_alpha_is_taken_out() -> None:
    """Colour 200 of which half is let through: the file holds 100."""
    pixels = np.zeros((48, 64, 4), np.uint8)
    pixels[...] = (100, 100, 100, 128)
    file = pillow_heif.from_pillow(Image.fromarray(pixels))
    file.premultiplied_alpha = True
    file.save(buffer := io.BytesIO(), quality=95)
    assert np.abs(decode(buffer.getvalue()).pixels[24, 32].astype(int) - (199, 199, 199, 128)).max() <= 3


def test_a_cut_file_is_truncated() -> None:
    for data in (heic(scene()), avif(scene())):
        for length in (len(data) - 1, len(data) // 2):
            with pytest.raises(Unreadable) as caught:
                decode(data[:length])
            assert caught.value.reason in ("truncated", "damaged")


def test_a_film_in_the_same_container_is_unsupported() -> None:
    with pytest.raises(Unreadable, match="film") as caught:
        decode(b"\0\0\0\x18ftypisom\0\0\0\0isommp42" + bytes(99))
    assert caught.value.reason == "unsupported"


def test_without_the_decoder_of_heic_the_remedy_is_named() -> None:
    code = (
        "import sys; sys.modules['pi_heif'] = None\n"
        "from striate.data.images.decode import Unreadable, decode\n"
        "try: decode(sys.stdin.buffer.read())\n"
        "except Unreadable as error: print(error)"
    )
    run = subprocess.run([sys.executable, "-c", code], input=heic(scene()), capture_output=True, check=True)
    assert "unsupported (HEIC needs pi-heif: pip install pi-heif" in run.stdout.decode()


def test_nothing_is_registered_with_pillow() -> None:
    """Whoever uses Striate in a program of his own finds Pillow as it was."""
    code = (
        "import sys\nfrom PIL import Image\nfrom striate.data.images.decode import decode\n"
        "Image.init(); before = set(Image.OPEN)\ndecode(sys.stdin.buffer.read())\n"
        "print(set(Image.OPEN) - before, 'HEIF' in Image.OPEN)"
    )
    run = subprocess.run([sys.executable, "-c", code], input=heic(scene()), capture_output=True, check=True)
    assert run.stdout.decode().strip() == "set() False"
