"""TIFFs whose samples are not simply 8 bits of RGB: premultiplied, of odd depths, of other colours; judged by hand."""

from __future__ import annotations

import io

import numpy as np
import pytest
import tifffile

from striate.data.images.decode import Unreadable, decode

RGB, GREY, ALPHA = ("red", "green", "blue"), ("grey",), ("alpha",)
BT601, BT709 = (0.299, 0.587, 0.114), (0.2126, 0.7152, 0.0722)


def tiff(samples: np.ndarray, **options: object) -> bytes:
    tifffile.imwrite(buffer := io.BytesIO(), samples, **options)  # pyright: ignore[reportArgumentType]
    return buffer.getvalue()


def stored(shares: np.ndarray, dtype: type) -> np.ndarray:
    """Shares of full intensity as samples of this type."""
    return shares.astype(np.float32) if dtype is np.float32 else np.rint(shares * np.iinfo(dtype).max).astype(dtype)


def shares(data: bytes) -> np.ndarray:
    picture = decode(data)
    return picture.pixels / picture.maximum


@pytest.mark.parametrize("planes", ["contig", "separate"])
@pytest.mark.parametrize("photometric", ["rgb", "minisblack", "miniswhite"])
@pytest.mark.parametrize("kind", ["assocalpha", "unassalpha"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_alpha_is_straight_whether_or_not_the_file_holds_it_multiplied(
    dtype: type, kind: str, photometric: str, planes: str
) -> None:
    """Intensity 0.8, of which half is let through."""
    if dtype is np.float32 and photometric == "miniswhite":
        return  # floating numbers have no white that could be turned round
    pixels = np.empty((5, 4, 4 if photometric == "rgb" else 2))
    colour = 0.2 if photometric == "miniswhite" else 0.8
    pixels[..., :-1] = colour * (0.5 if kind == "assocalpha" else 1)
    pixels[..., -1] = 0.5
    pixels = pixels if planes == "contig" else np.ascontiguousarray(pixels.transpose(2, 0, 1))
    data = tiff(stored(pixels, dtype), photometric=photometric, extrasamples=[kind], planarconfig=planes)
    assert decode(data).channels == (RGB if photometric == "rgb" else GREY) + ALPHA
    assert shares(data)[..., :-1] == pytest.approx(0.8, abs=0.005)
    assert shares(data)[..., -1] == pytest.approx(0.5, abs=0.003)


def test_where_all_is_clear_the_colour_is_black_and_no_number_is_lost() -> None:
    pixels = np.zeros((4, 4, 4), np.uint16)
    assert not decode(tiff(pixels, photometric="rgb", extrasamples=["assocalpha"])).pixels.any()


@pytest.mark.parametrize("photometric", ["minisblack", "miniswhite"])
@pytest.mark.parametrize("bits", [2, 3, 4, 5, 6, 7, 9, 10, 12, 14, 15])
def test_full_intensity_is_full_intensity_at_every_depth(bits: int, photometric: str) -> None:
    full = 2**bits - 1
    values = np.tile(np.array([0, full // 2, full, 1], np.uint16 if bits > 8 else np.uint8), (3, 2))
    data = tiff(values, photometric=photometric, bitspersample=bits)
    due = values / full if photometric == "minisblack" else 1 - values / full
    assert np.abs(shares(data)[..., 0] - due).max() < 0.0021  # half a level of 255
    assert decode(data).maximum == (65535 if bits > 8 else 255)


@pytest.mark.parametrize("bits", [4, 10, 12])
def test_colours_of_every_depth_too(bits: int) -> None:
    full = 2**bits - 1
    values = np.array([[[0, full // 3, full]]], np.uint16 if bits > 8 else np.uint8).repeat(3, 0).repeat(4, 1)
    picture = decode(tiff(values, photometric="rgb", bitspersample=bits))
    assert picture.channels == RGB
    assert np.abs(picture.pixels / picture.maximum - values / full).max() < 0.0021


def ratios(numbers: tuple[float, ...]) -> list[int]:
    return [part for number in numbers for part in (round(number * 10000), 10000)]


def ycbcr(rgb: np.ndarray, coefficients: tuple[float, ...]) -> np.ndarray:
    """TIFF 6.0, section 21, in double precision."""
    red, green, blue = coefficients
    y = rgb @ np.array(coefficients)
    cb, cr = (rgb[..., 2] - y) / (2 - 2 * blue), (rgb[..., 0] - y) / (2 - 2 * red)
    assert green == pytest.approx(1 - red - blue)
    return np.clip(np.rint(np.stack([y, cb + 128, cr + 128], axis=2)), 0, 255).astype(np.uint8)


def colours() -> np.ndarray:
    y, x = np.mgrid[0:48, 0:64]
    return np.stack([60 + x * 2, 200 - y * 3, 40 + x + y], axis=2).astype(float)


@pytest.mark.parametrize("compression", [None, "zlib", "lzw"])
@pytest.mark.parametrize("coefficients", [BT601, BT709], ids=["BT.601", "BT.709"])
def test_the_coefficients_of_ycbcr_are_those_of_the_file(
    coefficients: tuple[float, ...], compression: str | None
) -> None:
    data = tiff(
        ycbcr(colours(), coefficients), photometric="ycbcr", subsampling=(1, 1), compression=compression,
        extratags=[(529, "2I", 3, ratios(coefficients), True)],
    )  # fmt: skip
    assert np.abs(decode(data).pixels - colours()).max() <= 2


def test_in_a_tiff_of_jpeg_too() -> None:
    """The encoder takes the coefficients of JPEG, so by those that the file names its colours are others."""
    tag = [(529, "2I", 3, ratios(BT709), True)]
    image, level = colours().astype(np.uint8), {"level": 98}
    data = tiff(image, photometric="rgb", compression="jpeg", compressionargs=level, extratags=tag)
    y, cb, cr = np.moveaxis(ycbcr(colours(), BT601).astype(float), 2, 0)
    red, green, blue = BT709
    r, b = y + (cr - 128) * (2 - 2 * red), y + (cb - 128) * (2 - 2 * blue)
    due = np.clip(np.stack([r, (y - red * r - blue * b) / green, b], axis=2), 0, 255)
    assert np.abs(decode(data).pixels - due).mean() < 1.5


@pytest.mark.parametrize("cut", [{"rowsperstrip": 16}, {"tile": (32, 32)}], ids=["strips", "tiles"])
def test_saturated_colours_in_a_tiff_of_jpeg_are_not_cut_off(cut: dict[str, object]) -> None:
    """Pure green in the coefficients of BT.709 lies outside the cube of those of JPEG."""
    corners = np.array([(0, 255, 0), (255, 0, 0), (0, 0, 255), (255, 255, 0), (0, 255, 255), (255, 0, 255)], float)
    image = np.repeat(np.repeat(corners[[[0, 1, 2], [3, 4, 5]]], 24, axis=0), 24, axis=1)
    tag = [(529, "2I", 3, ratios(BT709), True)]
    level = {"level": 100, "colorspace": "YCBCR", "outcolorspace": "YCBCR"}
    planes = ycbcr(image, BT709)
    data = tiff(planes, photometric="ycbcr", compression="jpeg", compressionargs=level, extratags=tag,
                subsampling=(1, 1), **cut)  # fmt: skip
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        assert file.pages.first.chunked != (1, 1, 1)
    assert np.abs(decode(data).pixels - image).max() <= 3


def test_uncompressed_colour_at_half_the_size_is_named_and_not_guessed() -> None:
    data = tiff(
        ycbcr(colours(), BT601), photometric="ycbcr", subsampling=(1, 1),
        extratags=[(529, "2I", 3, ratios(BT601), True)],
    )  # fmt: skip
    with tifffile.TiffFile(buffer := io.BytesIO(data), mode="r+") as file:
        file.pages.first.tags[530].overwrite((2, 2))
    with pytest.raises(Unreadable, match="fewer samples of colour") as caught:
        decode(buffer.getvalue())
    assert caught.value.reason == "unsupported"


@pytest.mark.parametrize("planes", ["contig", "separate"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_a_sample_that_the_file_does_not_name_is_left_out_and_noted(dtype: type, planes: str) -> None:
    pixels = stored(np.random.default_rng(0).random((6, 5, 4)), dtype)
    written = pixels if planes == "contig" else np.ascontiguousarray(pixels.transpose(2, 0, 1))
    picture = decode(tiff(written, photometric="rgb", extrasamples=["unspecified"], planarconfig=planes))
    assert picture.channels == RGB
    assert np.array_equal(picture.pixels, pixels[..., :3])
    assert "left out" in picture.note


def test_several_samples_without_a_name_are_data_and_are_kept() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (6, 5, 6), dtype=np.uint8)
    picture = decode(tiff(pixels, photometric="rgb", extrasamples=["unspecified"] * 3))
    assert picture.channels == tuple(f"channel{number}" for number in range(1, 7))
    assert np.array_equal(picture.pixels, pixels)


def test_a_palette_may_have_alpha() -> None:
    """Written by hand: index 1 is red; the second sample of each pixel is its alpha."""
    pixels = np.dstack([np.ones((4, 5), np.uint8), np.full((4, 5), 128, np.uint8)])
    palette = np.zeros((3, 256), np.uint16)
    palette[0, 1] = 65535
    data = tiff(pixels, photometric="minisblack", extrasamples=["unassalpha"], planarconfig="contig",
                extratags=[(320, "H", 768, palette.ravel().tolist(), True)])  # fmt: skip
    with tifffile.TiffFile(buffer := io.BytesIO(data), mode="r+") as file:
        file.pages.first.tags[262].overwrite(3)
    picture = decode(buffer.getvalue())
    assert picture.channels == RGB + ALPHA
    assert picture.pixels[2, 2].tolist() == [255, 0, 0, 128]


def test_an_offset_beyond_all_bounds_is_named() -> None:
    with pytest.raises(Unreadable):
        decode(b"II+\0\x08\0\0\0" + b"\xff" * 8 + bytes(40))
