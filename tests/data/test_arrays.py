"""Preparation against a slow reference, against Pillow, and against numbers worked by hand."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from reference import preparation
from striate.core.errors import DataError
from striate.core.geometry import place
from striate.core.spec import GREY, RGB, Filter, InputSpec, ResizeRule
from striate.data.images.decoded import DecodedImage
from striate.data.preparation import resample
from striate.data.preparation.arrays import normalise, prepare, prepare_many, scale, to_shares

RGBA = (*RGB, "alpha")
FIVE = ("a", "b", "c", "d", "e")


def spec_of(channels: tuple[str, ...], height: int, width: int, **changes: object) -> InputSpec:
    count = len(channels)
    plain = InputSpec(channels=channels, height=height, width=width, mean=(0.0,) * count, std=(1.0,) * count)
    return replace(plain, **changes)


def decoded_image(pixels: np.ndarray, channels: tuple[str, ...]) -> DecodedImage:
    return DecodedImage(pixels, channels, original=(pixels.shape[0], pixels.shape[1]))


def noise(height: int, width: int, channels: int, dtype: str = "uint8", seed: int = 0) -> np.ndarray:
    draw = np.random.default_rng(seed)
    if dtype == "float32":
        return draw.random((height, width, channels), dtype=np.float32)
    return draw.integers(0, np.iinfo(dtype).max, (height, width, channels), dtype=dtype, endpoint=True)


@pytest.mark.parametrize("resize", ["stretch", "cover", "contain"])
@pytest.mark.parametrize("antialias", [True, False])
@pytest.mark.parametrize("kind", ["nearest", "bilinear", "bicubic"])
@pytest.mark.parametrize(("size", "crop"), [((37, 50), 1.0), ((20, 9), 0.875), ((5, 7), 1.0), ((16, 16), 1.0)])
@pytest.mark.parametrize(
    ("channels", "dtype"), [(RGB, "uint8"), (GREY, "uint16"), (("a", "b", "c", "d", "e"), "uint8")]
)
def test_prepare_equals_the_slow_reference(
    resize: ResizeRule,
    antialias: bool,
    kind: Filter,
    size: tuple[int, int],
    crop: float,
    channels: tuple[str, ...],
    dtype: str,
):
    maximum = float(np.iinfo(dtype).max)
    spec = spec_of(
        channels, 16, 16, resize=resize, filter=kind, antialias=antialias, crop=crop, padding=0.25, maximum=maximum
    )
    pixels = noise(size[0], size[1], len(channels), dtype)
    expected = np.clip(preparation.prepare(pixels, spec), 0, maximum)
    received = prepare(decoded_image(pixels, channels), spec)
    assert received.dtype == pixels.dtype
    # 8 bits: rounded in both passes, halves up, so one level and a half at worst. 16 bits: rounded once, after float32.
    difference = np.abs(received - expected)
    assert difference.max() <= (1.6 if dtype == "uint8" else 0.6)
    assert difference.mean() <= 0.4


@pytest.mark.parametrize("antialias", [True, False])
@pytest.mark.parametrize("kind", ["bilinear", "bicubic"])
@pytest.mark.parametrize(
    ("size", "grid", "resize"),
    [((40, 1), (17, 1), "stretch"), ((5, 3), (12, 1), "stretch"), ((96, 4), (16, 16), "contain")],
)
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_a_single_column_equals_the_slow_reference(
    antialias: bool, kind: Filter, size: tuple[int, int], grid: tuple[int, int], resize: ResizeRule, dtype: str
) -> None:
    maximum = {"uint8": 255.0, "uint16": 65535.0, "float32": 1.0}[dtype]
    spec = spec_of(GREY, *grid, resize=resize, filter=kind, antialias=antialias, maximum=maximum)
    pixels = noise(*size, 1, dtype)
    expected = preparation.prepare(pixels, spec)
    received = prepare(decoded_image(pixels, GREY), spec)
    if dtype == "float32":
        np.testing.assert_allclose(received, expected, rtol=0, atol=1e-6)
    else:
        assert np.abs(received - np.clip(expected, 0, maximum)).max() <= (1.6 if dtype == "uint8" else 0.6)


@pytest.mark.parametrize("kind", ["bilinear", "bicubic"])
@pytest.mark.parametrize("size", [(90, 120), (33, 47), (12, 20)])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_resize_is_within_one_level_of_pillow(kind, size, mode):
    channels = RGB if mode == "RGB" else GREY
    pixels = noise(size[0], size[1], len(channels))
    image = Image.fromarray(pixels if mode == "RGB" else pixels[..., 0])
    judged = np.asarray(image.resize((30, 24), Image.Resampling[kind.upper()])).reshape(24, 30, len(channels))
    received = prepare(decoded_image(pixels, channels), spec_of(channels, 24, 30, resize="stretch", filter=kind))
    assert np.abs(received.transpose(1, 2, 0).astype(int) - judged).max() <= 1


@pytest.mark.parametrize("resize", ["stretch", "cover", "contain"])
@pytest.mark.parametrize(("height", "width"), [(40, 64), (64, 40), (97, 31)])
# Antialiased, the few weights of a filter do not balance exactly: a tenth of an old pixel.
@pytest.mark.parametrize(("antialias", "tolerance"), [(False, 1e-3), (True, 0.1)])
def test_a_ramp_lands_where_the_placement_says(resize, height, width, antialias, tolerance):
    """The value of each pixel is its own centre, so what is found at an input pixel is where it came from."""
    y, x = np.meshgrid(np.arange(height) + 0.5, np.arange(width) + 0.5, indexing="ij")
    ramp = np.stack([y, x], axis=2).astype(np.float32)
    spec = spec_of(("y", "x"), 20, 24, resize=resize, maximum=1.0, padding=-1.0, antialias=antialias)
    received = prepare(decoded_image(ramp, ("y", "x")), spec)
    placement = place(spec, height, width)
    for row in range(20):
        for column in range(24):
            at = placement.to_original(row + 0.5, column + 0.5)
            inside = 0 <= at[0] < height and 0 <= at[1] < width
            if not inside:
                assert (received[:, row, column] == -1).all()
            # Within a filter's width of the border the mean is over what is left of the filter.
            reach = max(height / placement.resized[0], width / placement.resized[1], 1.0)
            if reach < at[0] < height - reach and reach < at[1] < width - reach:
                np.testing.assert_allclose(received[:, row, column], at, atol=tolerance)


def test_an_image_decoded_to_scale_is_placed_by_its_full_size():
    whole = np.repeat(np.repeat(noise(6, 10, 3), 4, axis=0), 4, axis=1)
    spec = spec_of(RGB, 6, 6, filter="nearest")
    small = DecodedImage(np.ascontiguousarray(whole[::2, ::2]), RGB, original=whole.shape[:2])
    np.testing.assert_array_equal(prepare(small, spec), prepare(decoded_image(whole, RGB), spec))


def test_sixteen_bits_stay_sixteen_bits():
    pixels = np.array([[[1000], [1001]]], np.uint16)
    assert prepare(decoded_image(pixels, GREY), spec_of(GREY, 1, 2, maximum=65535.0)).tolist() == [[[1000, 1001]]]


@pytest.mark.parametrize(
    ("stored", "dtype", "maximum", "expected"),
    [
        ([0, 1, 255], "uint8", 65535.0, [0, 257, 65535]),
        ([0, 128, 129, 65535], "uint16", 255.0, [0, 0, 1, 255]),
        ([0.0, 0.5, 1.0, 1.5], "float32", 255.0, [0, 128, 255, 255]),
        ([0, 51, 255], "uint8", 1.0, [0.0, 0.2, 1.0]),
        ([0, 51, 255], "uint8", 2.0, [0.0, 0.4, 2.0]),
    ],
)
def test_full_intensity_becomes_full_intensity(stored, dtype, maximum, expected):
    pixels = np.array(stored, dtype).reshape(1, -1, 1)
    received = prepare(decoded_image(pixels, GREY), spec_of(GREY, 1, len(stored), maximum=maximum))
    np.testing.assert_allclose(received.ravel(), expected, rtol=1e-6)


@pytest.mark.parametrize("background", [0.0, 0.5, 1.0])
def test_alpha_is_laid_over_the_background_as_pillow_does(background):
    pixels = noise(9, 9, 4)
    ground = Image.new("RGBA", (9, 9), (round(background * 255),) * 3 + (255,))
    judged = np.asarray(Image.alpha_composite(ground, Image.fromarray(pixels)))[..., :3].astype(int)
    received = prepare(decoded_image(pixels, RGBA), spec_of(RGB, 9, 9, background=background))
    assert np.abs(received.transpose(1, 2, 0) - judged).max() <= 1


def test_grey_with_alpha_for_a_colour_network():
    pixels = np.array([[[100, 255], [100, 0], [100, 51]]], np.uint8)
    received = prepare(decoded_image(pixels, ("grey", "alpha")), spec_of(RGB, 1, 3, background=1.0))
    assert received[:, 0].tolist() == [[100, 255, 224]] * 3  # 255 + (100 - 255) · 0.2


def test_transparent_pixels_leave_no_fringe_when_resized():
    """Black under full transparency must not darken its neighbours: alpha is laid over before the resize."""
    pixels = np.zeros((8, 8, 4), np.uint8)
    pixels[:, :4] = 255
    assert prepare(decoded_image(pixels, RGBA), spec_of(RGB, 3, 3)).min() == 255


def test_colour_becomes_grey_as_in_pillow():
    pixels = noise(64, 64, 3)
    judged = np.asarray(Image.fromarray(pixels).convert("L"))
    np.testing.assert_array_equal(prepare(decoded_image(pixels, RGB), spec_of(GREY, 64, 64))[0], judged)


@pytest.mark.parametrize(("dtype", "maximum"), [("uint16", 65535.0), ("float32", 1.0)])
def test_colour_becomes_grey_in_every_depth(dtype, maximum):
    pixels = noise(5, 5, 3, dtype)
    pixels[0, 0] = maximum
    received = prepare(decoded_image(pixels, RGB), spec_of(GREY, 5, 5, maximum=maximum))[0]
    np.testing.assert_allclose(received, pixels @ [0.299, 0.587, 0.114], rtol=2e-5, atol=0 if maximum == 1 else 1)
    assert received[0, 0] == pytest.approx(maximum)


def test_grey_becomes_colour_by_repeating():
    pixels = noise(4, 4, 1)
    assert (prepare(decoded_image(pixels, GREY), spec_of(RGB, 4, 4)) == pixels[..., 0]).all()


def test_channels_come_in_the_order_of_the_network():
    pixels = np.array([[[1, 2, 3]]], np.uint8)
    received = prepare(decoded_image(pixels, RGB), spec_of(("blue", "green", "red"), 1, 1))
    assert received.ravel().tolist() == [3, 2, 1]


def test_named_channels_are_picked_by_name_and_missing_ones_are_said():
    pixels = np.arange(5, dtype=np.uint8).reshape(1, 1, 5)
    bands = tuple(f"channel{number}" for number in range(1, 6))
    received = prepare(decoded_image(pixels, bands), spec_of(("channel4", "channel1"), 1, 1))
    assert received.ravel().tolist() == [3, 0]
    with pytest.raises(DataError, match=r"takes the channels red, green, blue; the image has channel1, .*channel5\."):
        prepare(decoded_image(pixels, bands), spec_of(RGB, 1, 1))


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("channels", [GREY, RGB, FIVE])
def test_many_at_once_are_the_same_bits_as_one_by_one(dtype, channels):
    maximum = 1.0 if dtype == "float32" else float(np.iinfo(dtype).max)
    spec = spec_of(channels, 11, 13, maximum=maximum)
    pixels = np.stack([noise(29, 23, len(channels), dtype, seed) for seed in range(5)])
    together = prepare_many(pixels, channels, (29, 23), spec)
    alone = np.stack([prepare(decoded_image(one, channels), spec) for one in pixels])
    np.testing.assert_array_equal(together, alone)


def test_read_only_pixels_are_prepared_without_a_warning():
    pixels = noise(20, 20, 3)
    pixels.flags.writeable = False
    assert prepare(decoded_image(pixels, RGB), spec_of(RGB, 8, 8)).shape == (3, 8, 8)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_scale_is_the_formula(dtype):
    spec = spec_of(RGB, 3, 5, mean=(0.1, 0.5, 0.9), std=(0.2, 1.0, 0.3), maximum=200.0)
    images = np.random.default_rng(0).integers(0, 200, (7, 3, 3, 5)).astype(dtype)
    mean, std = (np.array(column).reshape(3, 1, 1) for column in (spec.mean, spec.std))
    given = torch.from_numpy(images)
    expected = (images / 200.0 - mean) / std
    np.testing.assert_allclose(scale(given, spec), expected, atol=1e-6)
    np.testing.assert_allclose(normalise(to_shares(given, spec), spec), expected, atol=1e-6)
    np.testing.assert_array_equal(given.numpy(), images)


def test_scale_on_another_device_is_the_same_to_the_bit():
    """What runs on an accelerator is the branch without numpy; torch on the CPU shows that it computes the same."""
    spec = spec_of(RGB, 9, 9, mean=(0.1, 0.2, 0.3), std=(0.7, 0.2, 0.3))
    images = torch.randint(0, 256, (50, 3, 9, 9), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    factors = torch.tensor([1 / (255 * std) for std in spec.std]).view(1, 3, 1, 1)
    offsets = torch.tensor([-mean / std for mean, std in zip(spec.mean, spec.std, strict=True)]).view(1, 3, 1, 1)
    assert torch.equal(scale(images, spec), images.float() * factors + offsets)


def test_scale_rounds_a_pixel_alike_at_any_place_in_the_batch():
    spec = spec_of(GREY, 5, 7, mean=(0.1307,), std=(0.3081,))
    images = torch.randint(0, 256, (33, 1, 5, 7), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    whole = scale(images, spec)
    for start in range(33):
        assert torch.equal(scale(images[start : start + 3], spec), whole[start : start + 3])


@pytest.mark.parametrize("antialias", [True, False])
@pytest.mark.parametrize("filter", ["nearest", "bilinear", "bicubic"])
@pytest.mark.parametrize("resize_rule", ["cover", "contain", "stretch"])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_a_window_alone_is_what_the_whole_resize_shows_there(resize_rule, filter, antialias, dtype, monkeypatch):
    """In full depth, what is computed within the window differs by rounding alone: one level, or 1e-5."""
    draw = np.random.default_rng(0)
    for height, width in [(1, 40), (40, 1), (3, 90), (50, 7), (30, 41)]:
        pixels = (draw.random((height, width, 3)) * (1 if dtype == "float32" else np.iinfo(dtype).max)).astype(dtype)
        maximum = {"uint8": 255.0, "uint16": 65535.0, "float32": 1.0}[dtype]
        spec = spec_of(RGB, 12, 9, maximum=maximum, resize=resize_rule, filter=filter, antialias=antialias, crop=0.9)
        given = DecodedImage(pixels, RGB, (height, width))
        monkeypatch.setattr(resample, "_AFFORDABLE", 1 << 26)
        whole = prepare(given, spec).astype(np.float64)
        monkeypatch.setattr(resample, "_AFFORDABLE", 0)
        alone = prepare(given, spec).astype(np.float64)
        assert np.abs(alone - whole).max() <= {"uint8": 1, "uint16": 1, "float32": 1e-5}[dtype]


@pytest.mark.parametrize(("height", "width"), [(1, 1 << 20), (1 << 20, 1), (2, 1 << 18)])
@pytest.mark.parametrize("resize_rule", ["cover", "contain", "stretch"])
def test_a_long_thin_image_takes_no_more_memory_than_itself_and_its_window(height, width, resize_rule):
    pixels = np.full((height, width, 1), 100, np.uint8)
    spec = spec_of(GREY, 224, 224, resize=resize_rule, padding=100 / 255)
    tracemalloc.start()
    seen = prepare(DecodedImage(pixels, GREY, (height, width)), spec)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (seen == 100).all()
    assert peak < 64 << 20
