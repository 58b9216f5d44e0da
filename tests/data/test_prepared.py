"""A PNG that says it is prepared keeps its grid, and only then; what is written is read back as it is."""

from __future__ import annotations

import io
import struct
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from striate.core.errors import DataError
from striate.core.geometry import Placement, place
from striate.core.spec import GREY, RGB, InputSpec
from striate.data.audit.digests import content_digest
from striate.data.images.decode import decode
from striate.data.images.encode import to_png
from striate.data.preparation.arrays import prepare, reread

SPEC = InputSpec(channels=RGB, height=14, width=12, mean=(0.5,) * 3, std=(0.2,) * 3, crop=0.875)


def noise(height: int, width: int, channels: int, dtype: str = "uint8") -> np.ndarray:
    draw = np.random.default_rng(1)
    return draw.integers(0, np.iinfo(dtype).max, (height, width, channels), dtype, endpoint=True)


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize("channels", [GREY, RGB, ("blue", "green", "red")])
@pytest.mark.parametrize("size", [(14, 12), (1, 1), (5, 300)])
def test_written_pixels_are_read_back(dtype: str, channels: tuple[str, ...], size: tuple[int, int]) -> None:
    pixels = noise(*size, len(channels), dtype)
    data = to_png(pixels, channels)
    picture = decode(data)
    upright = pixels if channels != ("blue", "green", "red") else pixels[:, :, ::-1]
    assert np.array_equal(picture.pixels, upright)
    assert picture.pixels.dtype == dtype
    assert picture.prepared == ""
    if dtype == "uint8":  # and Pillow, by itself, reads the same
        assert np.array_equal(np.asarray(Image.open(io.BytesIO(data))).reshape(upright.shape), upright)


@pytest.mark.parametrize("maximum", [255.0, 65535.0])
def test_a_prepared_image_comes_back_pixel_for_pixel_where_another_would_be_cropped(maximum: float) -> None:
    spec = replace(SPEC, maximum=maximum)
    pixels = noise(14, 12, 3, "uint8" if maximum == 255 else "uint16")
    picture = decode(to_png(pixels, RGB, prepared_for=spec))
    assert np.array_equal(prepare(picture, spec), pixels.transpose(2, 0, 1))
    assert not np.array_equal(prepare(decode(to_png(pixels, RGB)), spec), pixels.transpose(2, 0, 1))
    assert picture.placement(spec) == Placement((14, 12), (14, 12), (0, 0))
    assert decode(to_png(pixels, RGB)).placement(spec) == place(spec, 14, 12)


def test_channels_and_depth_are_still_fitted() -> None:
    # Prepared for a network that takes the same grid in another order and depth: the words say what is what.
    pixels = noise(14, 12, 3)
    picture = decode(to_png(pixels, RGB, prepared_for=SPEC))
    assert np.array_equal(prepare(picture, replace(SPEC, maximum=65535.0)), pixels.transpose(2, 0, 1) * np.uint16(257))


def test_it_is_an_image_like_any_other_where_the_grid_is_another() -> None:
    pixels = noise(14, 12, 3)
    said, silent = decode(to_png(pixels, RGB, prepared_for=SPEC)), decode(to_png(pixels, RGB))
    for other in (replace(SPEC, height=12), replace(SPEC, channels=GREY, mean=(0.5,), std=(0.2,))):
        assert np.array_equal(prepare(said, other), prepare(silent, other))


def _with_text(data: bytes, text: bytes, checksum: int | None = None) -> bytes:
    """`data` with its header followed by a text chunk."""
    checksum = zlib.crc32(b"tEXt" + text) if checksum is None else checksum
    chunk = struct.pack(">L", len(text)) + b"tEXt" + text + struct.pack(">L", checksum)
    return data[:33] + chunk + data[33:]


@pytest.mark.parametrize(
    "text",
    [b"Striate prepared\x0014x13 red,green,blue", b"Striate prepared\0", b"Striate prepared", b"", b"Comment\0\xff"],
)
def test_a_text_that_is_not_right_changes_nothing(text: bytes) -> None:
    pixels = noise(14, 12, 3)
    plain = to_png(pixels, RGB)
    assert np.array_equal(prepare(decode(_with_text(plain, text)), SPEC), prepare(decode(plain), SPEC))


def test_pillow_writes_and_keeps_the_same_chunk_and_a_changed_size_is_noticed(tmp_path: Path) -> None:
    pixels = noise(14, 12, 3)
    path = tmp_path / "prepared.png"
    path.write_bytes(to_png(pixels, RGB, prepared_for=SPEC))
    with Image.open(path) as picture:
        assert picture.info["Striate prepared"] == "14x12 red,green,blue"
        larger = picture.resize((24, 28))
    path.write_bytes(_with_text(to_png(np.asarray(larger), RGB), b"Striate prepared\x0014x12 red,green,blue"))
    silent = decode(to_png(np.asarray(larger), RGB))
    assert decode(path).prepared
    assert np.array_equal(prepare(decode(path), SPEC), prepare(silent, SPEC))


def test_the_same_pixels_prepared_and_not_are_two_contents() -> None:
    pixels = noise(14, 12, 3)
    assert content_digest(pixels, RGB) != content_digest(pixels, RGB, "14x12 red,green,blue")


def test_rereading_is_the_preparation_of_the_file() -> None:
    photos = np.stack([noise(40, 30, 3), noise(40, 30, 3)[::-1]])
    expected = [prepare(decode(to_png(photo, RGB)), SPEC).transpose(1, 2, 0) for photo in photos]
    assert np.array_equal(reread(photos, SPEC), np.stack(expected))


def test_pixels_that_a_png_cannot_hold_are_refused() -> None:
    with pytest.raises(DataError, match="holds grey, or red, green and blue; these images have a, b"):
        to_png(noise(2, 2, 2), ("a", "b"))
    with pytest.raises(DataError, match="prepared for this model are 14×12; received 12×14"):
        to_png(noise(12, 14, 3), RGB, prepared_for=SPEC)
