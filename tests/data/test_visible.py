"""Images are compared by what they show: the same in every storage, and different wherever they differ."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from striate.core.spec import GREY, RGB
from striate.data.audit.index import ImageIndex, index_images
from striate.data.audit.visible import is_simple, visible
from striate.data.dataset import ArrayStore, Dataset, FileStore, numbered

RGBA = (*RGB, "alpha")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRIATE_CACHE", str(tmp_path / "cache"))


def _waves(side: int, seed: int) -> np.ndarray:
    """Smooth values from 0 to 1, (side, side), other ones for each seed."""
    rough = np.random.default_rng(seed).random((5, 5)).astype(np.float32)
    smooth = np.asarray(Image.fromarray(rough).resize((side, side), Image.Resampling.BICUBIC))
    return (smooth - smooth.min()) / np.ptp(smooth)


def _indexed(folder: Path, files: dict[str, bytes]) -> ImageIndex:
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return index_images(Dataset("files", FileStore(folder, list(files)), ("all",), np.zeros(len(files), np.int64)))


def _indexed_array(pixels: np.ndarray) -> ImageIndex:
    names = numbered("picture", len(pixels))
    return index_images(Dataset("array", ArrayStore(pixels, names), ("all",), np.zeros(len(pixels), np.int64)))


def _groups(found: ImageIndex) -> list[int]:
    """For each image the first one that is alike."""
    return [
        found.near_duplicate_of.tolist().index(representative) for representative in found.near_duplicate_of.tolist()
    ]


def _saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    image.save(buffer := io.BytesIO(), kind, **options)
    return buffer.getvalue()


def _tiff(pixels: np.ndarray, **options: Any) -> bytes:
    tifffile.imwrite(buffer := io.BytesIO(), pixels, **options)
    return buffer.getvalue()


def _every_storage(grey: np.ndarray) -> dict[str, bytes]:
    """One 8-bit grey image in every lossless form that holds it."""
    image = Image.fromarray(grey)
    files = {f"{mode}.png": _saved(image.convert(mode), "PNG") for mode in ("L", "RGB", "P", "LA", "RGBA")}
    files["deep.png"] = _saved(Image.fromarray(grey.astype(np.uint16) * 257), "PNG")
    files["L.bmp"] = _saved(image, "BMP")
    files["L.pgm"] = _saved(image, "PPM")
    files["L.gif"] = _saved(image, "GIF")
    files["RGB.webp"] = _saved(image.convert("RGB"), "WEBP", lossless=True)
    files["deep.tif"] = _tiff(grey.astype(np.uint16) * 257)
    files["float.tif"] = _tiff((grey / 255).astype(np.float32))
    turned = Image.Exif()
    turned[0x0112] = 3
    files["turned.png"] = _saved(Image.fromarray(grey[::-1, ::-1].copy()), "PNG", exif=turned)
    return files


@pytest.mark.parametrize("side", [32, 96])
def test_one_image_in_every_storage_is_one_group_of_equal_ones(side: int, tmp_path: Path) -> None:
    files = _every_storage(np.rint(_waves(side, 0) * 255).astype(np.uint8))
    other = _saved(Image.fromarray(np.rint(_waves(side, 1) * 255).astype(np.uint8)), "PNG")
    found = _indexed(tmp_path, {**files, "other.png": other})
    assert (found.reasons == "").all()
    assert found.duplicate_of.tolist() == [0] * len(files) + [len(files)]


def test_transparency_shows_white(tmp_path: Path) -> None:
    """A palette with a clear colour, an alpha channel of two depths, and the image already laid over white."""
    ink = np.rint(_waves(40, 3) * 255).astype(np.uint8)
    ink[10:20] = 0
    clear = np.where(np.arange(40)[:, None] < 20, 0, 255).astype(np.uint8) * np.ones((40, 40), np.uint8)
    laid = np.where(clear, ink, 255).astype(np.uint8)
    files = {
        "laid.png": _saved(Image.fromarray(laid), "PNG"),
        "LA.png": _saved(Image.fromarray(np.dstack([ink, clear])), "PNG"),
        "RGBA.png": _saved(Image.fromarray(np.dstack([ink, ink, ink, clear])), "PNG"),
        "L.png": _saved(Image.fromarray(np.where(clear, ink, 1).astype(np.uint8)), "PNG", transparency=1),
    }
    files["LA.tif"] = _tiff(np.dstack([ink, clear]).astype(np.uint16) * 257, extrasamples=["unassalpha"])
    ink[clear > 0] += ink[clear > 0] == 1  # the clear level itself must not be ink
    found = _indexed(tmp_path, files)
    assert found.duplicate_of[[1, 2, 4]].tolist() == [0, 0, 0]


def test_values_that_need_their_depth_keep_it() -> None:
    deep = np.array([[[0], [256]]], np.uint16)
    negative = np.array([[[-1.0], [0.0]]], np.float32)
    colour = np.array([[[1, 1, 1], [1, 2, 1]]], np.uint8)
    five = np.ones((1, 2, 5), np.uint8)
    for pixels, channels in ((deep, GREY), (negative, GREY), (colour, RGB), (five, tuple("abcde"))):
        assert visible(pixels, channels)[0] is pixels
    assert visible(np.full((2, 2, 4), 255, np.uint8), RGBA)[1] == GREY


def _black_ink(values: np.ndarray) -> np.ndarray:
    ink = np.zeros((*values.shape, 4), np.uint8)
    ink[..., 3] = np.rint(values * 255)
    return ink


_DIFFERENT: dict[str, Callable[[np.ndarray], bytes]] = {
    "black ink on a clear ground": lambda values: _saved(Image.fromarray(_black_ink(values)), "PNG"),
    "10 bits in 16": lambda values: _saved(Image.fromarray(np.rint(values * 1023).astype(np.uint16)), "PNG"),
    "12 bits in 16": lambda values: _tiff(np.rint(values * 4095).astype(np.uint16)),
    "numbers of five classes": lambda values: _saved(Image.fromarray(np.rint(values * 4).astype(np.uint8)), "PNG"),
    "small floats": lambda values: _tiff((values * 1e-8).astype(np.float32)),
    "negative floats": lambda values: _tiff((values * 40 - 50).astype(np.float32)),
    "large floats": lambda values: _tiff((values * 255).astype(np.float32)),
    "one bit": lambda values: _saved(Image.fromarray(values > 0.5), "PNG"),
}


@pytest.mark.parametrize("kind", _DIFFERENT)
def test_different_images_are_not_alike_in_any_storage(kind: str, tmp_path: Path) -> None:
    files = {f"{seed}.bin": _DIFFERENT[kind](_waves(96, seed)) for seed in range(40)}
    found = _indexed(tmp_path, files)
    assert (found.reasons == "").all()
    assert found.near_duplicate_of.tolist() == list(range(40))


@pytest.mark.parametrize("kind", ["10 bits in 16", "small floats", "negative floats"])
def test_copies_at_half_the_size_are_alike_in_narrow_and_wide_ranges(kind: str, tmp_path: Path) -> None:
    files = {}
    for seed in range(8):
        values = _waves(160, seed)
        files[f"{seed} whole"] = _DIFFERENT[kind](values)
        files[f"{seed} half"] = _DIFFERENT[kind](values.reshape(80, 2, 80, 2).mean((1, 3)))
    assert _groups(_indexed(tmp_path, files)) == [at // 2 * 2 for at in range(16)]


def test_images_of_one_colour_each_are_alike_only_in_the_same_colour() -> None:
    colours = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (85, 85, 85), (254, 0, 0)]
    pixels = np.stack([np.full((64, 64, 3), colour, np.uint8) for colour in colours])
    assert _groups(_indexed_array(pixels)) == [0, 1, 2, 3, 0]


def test_one_drawing_in_other_colours_is_another_image_and_its_grey_copy_is_alike() -> None:
    values = np.rint(_waves(96, 0) * 255).astype(np.uint8)
    empty = np.zeros_like(values)
    red, green = np.dstack([values, empty, empty]), np.dstack([empty, values, empty])
    paler = np.dstack([values, empty + 3, empty])
    found = _indexed_array(np.stack([red, green, paler]))
    assert found.near_duplicate_of[0] == found.near_duplicate_of[2] != found.near_duplicate_of[1]
    grey = np.repeat(values[..., None] // 3, 3, axis=2)
    assert _groups(_indexed_array(np.stack([red, grey]))) == [0, 0]


@pytest.mark.parametrize("channels", [GREY, RGB, ("grey", "alpha"), ("red", "infrared")], ids=",".join)
@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.float32], ids=lambda kind: kind.__name__)
def test_every_image_of_a_simple_form_is_visible_as_it_is(channels: tuple[str, ...], kind: type) -> None:
    seen = [np.full((3, 4, len(channels)), level, kind) for level in (0, 1)]
    kept = all(visible(pixels, channels)[0] is pixels for pixels in seen)
    assert kept == is_simple(np.dtype(kind), channels)
