"""HEIC and AVIF, written by pillow-heif and Pillow: decoded as pillow-heif and Pillow decode them, or named."""

from __future__ import annotations

import io
import re
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable

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
    pillow_heif.from_pillow(Image.fromarray(pixels)).save(buffer := io.BytesIO(), **{"quality": 95} | options)
    return buffer.getvalue()


def deep_heic(pixels: np.ndarray, mode: str) -> bytes:
    height, width = pixels.shape[:2]
    file = pillow_heif.from_bytes(mode, (width, height), pixels.tobytes())
    file.save(buffer := io.BytesIO(), quality=-1, chroma=444)
    return buffer.getvalue()


def avif(pixels: np.ndarray, **options: object) -> bytes:
    Image.fromarray(pixels).save(buffer := io.BytesIO(), "AVIF", **{"quality": 95} | options)
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
def test_files_of_phones_are_read(write, pixels: np.ndarray, channels: tuple[str, ...] | None) -> None:
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


SRGB_OF = {  # linear light of each space to that of sRGB, as in CSS Color 4, section 18
    12: [[1.2249401763, -0.2249401763, 0], [-0.0420569547, 1.0420569547, 0], [-0.0196375546, -0.0786360456, 1.0982736]],
    9: [[1.6604910021, -0.5876411388, -0.0728498633], [-0.1245504745, 1.1328998971, -0.0083494226],
        [-0.0181507634, -0.1005788980, 1.1187296614]],
}  # fmt: skip


def blocks() -> np.ndarray:
    """16 colours of 8×8 pixels."""
    colours = np.random.default_rng(0).integers(40, 216, (4, 4, 3), np.uint8)
    return np.repeat(np.repeat(colours, 8, axis=0), 8, axis=1)


def as_srgb(pixels: np.ndarray, primaries: int, gamma: float | None = None) -> np.ndarray:
    """The colours in sRGB, in double precision."""
    share = pixels / 255
    light = share**gamma if gamma else np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    light = np.clip(light @ np.array(SRGB_OF.get(primaries, np.eye(3))).T, 0, 1)
    return 255 * np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


def with_space(data: bytes, primaries: int, transfer: int) -> bytes:
    """A file of Pillow's whose colours are said to be of another space."""
    at = data.index(b"colrnclx") + 8
    return data[:at] + primaries.to_bytes(2) + transfer.to_bytes(2) + data[at + 4 :]


@pytest.mark.parametrize(
    ("primaries", "transfer", "gamma"),
    [(1, 13, None), (12, 13, None), (9, 14, None), (9, 1, None), (2, 2, None), (1, 4, 2.2), (12, 8, 1.0)],
)
@pytest.mark.parametrize("kind", ["HEIC", "AVIF"])
def test_colours_of_other_primaries_become_those_of_srgb(
    kind: str, primaries: int, transfer: int, gamma: float | None
) -> None:
    if kind == "HEIC":
        space = {"color_primaries": primaries, "transfer_characteristics": transfer}
        data = heic(blocks(), **space)
        stored = np.asarray(pillow_heif.open_heif(data))
    else:
        data = with_space(avif(blocks()), primaries, transfer)
        stored = np.asarray(Image.open(io.BytesIO(data)))
    assert np.abs(decode(data).pixels - as_srgb(stored, primaries, gamma)).max() <= 3


@pytest.mark.parametrize("matrix", [1, 6, 9])
@pytest.mark.parametrize("full", [0, 1], ids=["limited", "full"])
def test_the_matrix_and_the_range_of_a_file_are_followed(matrix: int, full: int) -> None:
    data = heic(blocks(), quality=100, chroma=444, matrix_coefficients=matrix, full_range_flag=full)
    assert np.abs(decode(data).pixels.astype(int) - blocks()).max() <= 3


def test_a_png_may_state_primaries_too() -> None:
    Image.fromarray(blocks()).save(buffer := io.BytesIO(), "PNG")
    data, chunk = buffer.getvalue(), b"cICP" + bytes([12, 13, 0, 1])
    chunk = len(chunk[4:]).to_bytes(4) + chunk + zlib.crc32(chunk).to_bytes(4)
    assert np.abs(decode(data[:33] + chunk + data[33:]).pixels - as_srgb(blocks(), 12)).max() <= 3


def test_brightness_of_high_dynamic_range_is_noted() -> None:
    assert "HLG" in decode(with_space(avif(blocks()), 9, 18)).note
    assert "PQ" in decode(heic(blocks(), color_primaries=9, transfer_characteristics=16)).note


def test_a_profile_has_precedence_over_primaries() -> None:
    from PIL import ImageCms

    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    data = avif(blocks(), quality=100, subsampling="4:4:4", icc_profile=srgb)
    assert np.abs(decode(data).pixels.astype(int) - blocks()).max() <= 3


@pytest.mark.parametrize("write", [heic, avif], ids=["HEIC", "AVIF"])
def test_a_huge_canvas_is_refused_wherever_the_file_states_it(write: Callable[..., bytes]) -> None:
    """After a box of padding; a crop (`clap`) would hide the canvas from the size of the opened file."""
    data = write(scene(64, 64))
    head = int.from_bytes(data[:4], "big")
    huge = re.sub(rb"ispe(....)........", rb"ispe\1" + struct.pack(">LL", 12000, 12000), data, flags=re.DOTALL)
    padded = huge[:head] + struct.pack(">L4s", 8 + (1 << 17), b"free") + bytes(1 << 17) + huge[head:]
    with pytest.raises(Unreadable, match="12000×12000") as caught:
        decode(padded)
    assert caught.value.reason == "too many pixels"
