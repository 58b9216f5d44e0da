"""Colours as their ICC profile means them; judged by Pillow's `ImageCms` on what Pillow decodes."""

from __future__ import annotations

import io
import struct
from typing import Any

import imagecodecs
import numpy as np
import pillow_heif
import pytest
import tifffile
from PIL import Image, ImageCms

from striate.core.spec import InputSpec
from striate.data.images.codecs import icc
from striate.data.images.decode import decode


def made(kind: str, **options: Any) -> bytes:
    return bytes(imagecodecs.cms_profile(kind, **options))


P3 = made("rgb", whitepoint=(0.3127, 0.329, 1.0), primaries=(0.68, 0.32, 1, 0.265, 0.69, 1, 0.15, 0.06, 1), gamma=2.2)
PRO = made("rgb", whitepoint=(0.3457, 0.3585, 1.0), primaries=(0.7347, 0.2653, 1, 0.1596, 0.8404, 1, 0.0366, 0.0001, 1),
           gamma=1.8)  # fmt: skip
LINEAR_GREY = made("gray", whitepoint=(0.3457, 0.3585, 1.0), gamma=1.0)
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def ink_profile() -> bytes:
    """Four inks to Lab by a table of two levels each: lightness falls with the ink, and only cyan has a colour."""
    nodes = []
    for node in range(16):
        cyan, rest = node >> 3 & 1, bin(node & 7).count("1")
        nodes += [round(255 * (1 - cyan * 0.3) * (1 - rest / 4)), 128 - 40 * cyan, 128 - 30 * cyan]
    identity = bytes(range(256))
    table = b"mft1" + bytes(4) + bytes([4, 3, 2, 0]) + struct.pack(">9l", 65536, 0, 0, 0, 65536, 0, 0, 0, 65536)
    table += identity * 4 + bytes(nodes) + identity * 3
    table += bytes(-len(table) % 4)
    white = b"XYZ " + bytes(4) + struct.pack(">3l", 63190, 65536, 54061)
    start = 128 + 4 + 2 * 12
    tags = struct.pack(">L4sLL4sLL", 2, b"A2B0", start, len(table), b"wtpt", start + len(table), len(white))
    header = struct.pack(">L4sL4s4s4s12s4s", 0, b"lcms", 0x02100000, b"prtr", b"CMYK", b"Lab ", bytes(12), b"acsp")
    header = header.ljust(68, b"\0") + struct.pack(">3l", 63190, 65536, 54061)
    whole = header.ljust(128, b"\0") + tags + table + white
    return struct.pack(">L", len(whole)) + whole[4:]


INKS = ink_profile()


def colours(mode: str = "RGB") -> Image.Image:
    small = np.random.default_rng(5).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((48, 40), Image.Resampling.BICUBIC).convert(mode)


def saved(kind: str, mode: str, profile: bytes) -> bytes:
    buffer = io.BytesIO()
    if kind == "HEIC":
        file = pillow_heif.from_pillow(colours(mode))
        file[0].info["icc_profile"], file[0].info["icc_profile_type"] = profile, "prof"
        file.save(buffer, quality=-1, chroma=444)
    else:
        options = {"WEBP": {"lossless": True}, "AVIF": {"quality": 100, "subsampling": "4:4:4"}}.get(kind, {})
        options = {"quality": 95, "subsampling": 0} if kind == "JPEG" else options
        colours(mode).save(buffer, kind, icc_profile=profile, **options)
    return buffer.getvalue()


def opened(data: bytes, kind: str) -> Image.Image:
    return pillow_heif.open_heif(data).to_pillow() if kind == "HEIC" else Image.open(io.BytesIO(data))


def managed(data: bytes, kind: str, profile: bytes) -> np.ndarray:
    """The judge: Pillow's own colour management."""
    srgb = ImageCms.createProfile("sRGB")
    image = opened(data, kind)
    image = image.convert("RGB") if image.mode == "P" else image
    return np.asarray(ImageCms.profileToProfile(image, io.BytesIO(profile), srgb, outputMode="RGB")).astype(int)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF", "HEIC"])
@pytest.mark.parametrize("profile", [P3, PRO], ids=["wide", "very wide"])
def test_colours_are_those_that_the_profile_means(kind: str, profile: bytes) -> None:
    data = saved(kind, "RGB", profile)
    due = managed(data, kind, profile)
    assert np.abs(due - np.asarray(opened(data, kind).convert("RGB"))).max() > 10
    assert np.abs(decode(data).pixels - due).max() <= 3


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF"])
def test_greys_too(kind: str) -> None:
    data = saved(kind, "L", LINEAR_GREY)
    picture = decode(data)
    assert picture.channels == ("grey",)
    assert np.abs(picture.pixels - managed(data, kind, LINEAR_GREY)).max() <= 3
    assert np.abs(picture.pixels.astype(int)[..., 0] - np.asarray(opened(data, kind))).max() > 10


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_inks_too(kind: str) -> None:
    data = saved(kind, "CMYK", INKS)
    assert np.abs(decode(data).pixels - managed(data, kind, INKS)).max() <= 3


def test_a_palette_is_looked_up_first() -> None:
    colours().quantize(30).save(buffer := io.BytesIO(), "PNG", icc_profile=P3)
    assert np.abs(decode(buffer.getvalue()).pixels - managed(buffer.getvalue(), "PNG", P3)).max() <= 3


def test_alpha_is_no_colour() -> None:
    image = colours()
    image.putalpha(Image.linear_gradient("L").resize(image.size))
    image.save(buffer := io.BytesIO(), "PNG", icc_profile=P3)
    picture = decode(buffer.getvalue())
    due = ImageCms.profileToProfile(colours(), io.BytesIO(P3), ImageCms.createProfile("sRGB"), outputMode="RGB")
    assert np.abs(picture.pixels[..., :3].astype(int) - np.asarray(due)).max() <= 3
    assert np.array_equal(picture.pixels[..., 3], np.asarray(image)[..., 3])


@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
def test_deep_colours_keep_their_depth(dtype: type) -> None:
    ramp = np.stack(np.meshgrid(np.linspace(0, 1, 40), np.linspace(0.2, 0.8, 24)), axis=2)
    shares = np.rint(np.dstack([ramp, ramp[..., :1] * 0.5]) * 255) / 255
    shares = np.clip(shares + 1e-4, 0, 1)  # which 8 bits cannot hold
    full = 65535 if dtype is np.uint16 else 1
    tag = [(34675, "B", len(P3), P3, True)]
    tifffile.imwrite(buffer := io.BytesIO(), (shares * full).astype(dtype), photometric="rgb", extratags=tag)
    picture = decode(buffer.getvalue())
    shallow = Image.fromarray(np.rint(shares * 255).astype(np.uint8))
    due = ImageCms.profileToProfile(shallow, io.BytesIO(P3), ImageCms.createProfile("sRGB"), outputMode="RGB")
    assert picture.pixels.dtype == dtype
    assert np.abs(np.clip(picture.pixels / full, 0, 1) * 255 - np.asarray(due)).max() <= 3
    assert len(np.unique(np.rint(picture.pixels[..., 1] / full * 65535) % 257)) > 20  # no step of 8 bits in between


def test_a_shrunk_jpeg_is_managed_too() -> None:
    colours().resize((480, 400)).save(buffer := io.BytesIO(), "JPEG", quality=95, icc_profile=PRO)
    wanted = InputSpec(
        channels=("red", "green", "blue"), height=24, width=24, mean=(0.0,) * 3, std=(1.0,) * 3, decode_scale=2.0
    )
    shrunk, whole = decode(buffer.getvalue(), wanted), decode(buffer.getvalue())
    assert shrunk.pixels.shape == (50, 60, 3)
    assert np.abs(shrunk.pixels.mean((0, 1)) - whole.pixels.mean((0, 1))).max() < 2


def test_a_profile_of_srgb_changes_nothing_and_costs_no_transform() -> None:
    data, plain = saved("JPEG", "RGB", SRGB), saved("JPEG", "RGB", b"")
    assert np.array_equal(decode(data).pixels, decode(plain).pixels)
    assert icc._transform(SRGB, "RGB") is None


@pytest.mark.parametrize("profile", [b"no profile", P3[:200], INKS, LINEAR_GREY], ids=["text", "cut", "inks", "grey"])
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_profile_that_is_damaged_or_of_other_channels_says_nothing(kind: str, profile: bytes) -> None:
    assert np.array_equal(decode(saved(kind, "RGB", profile)).pixels, decode(saved(kind, "RGB", b"")).pixels)
