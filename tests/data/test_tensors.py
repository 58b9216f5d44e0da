"""The two forms of preparation, on arrays and on tensors, compared."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from reference import preparation
from striate.core.errors import DataError
from striate.core.spec import GREY, RGB, Filter, InputSpec, ResizeRule
from striate.data.preparation.arrays import prepare_many
from striate.data.preparation.tensors import prepare_tensors

MAXIMUM = {"uint8": 255.0, "uint16": 65535.0, "float32": 1.0}
RGBA = (*RGB, "alpha")
SPEC = InputSpec(channels=RGB, height=16, width=12, mean=(0.0,) * 3, std=(1.0,) * 3, padding=0.3, background=0.7)


def spec_of(channels: tuple[str, ...], dtype: str, **changes: object) -> InputSpec:
    count = len(channels)
    return replace(SPEC, channels=channels, mean=(0.0,) * count, std=(1.0,) * count, maximum=MAXIMUM[dtype], **changes)


def extremes(height: int, width: int, count: int, dtype: str) -> np.ndarray:
    """Black, dark and full values next to each other: a cubic overshoots."""
    values = np.random.default_rng(0).choice([0, 40 / 255, 1], (2, height, width, count))
    values = values * MAXIMUM[dtype]
    return values.astype(dtype) if dtype == "float32" else np.rint(values).astype(dtype)


def both(pixels: np.ndarray, channels: tuple[str, ...], spec: InputSpec) -> tuple[np.ndarray, np.ndarray]:
    """What the two forms make of the same pixels, in fractions of full intensity; both unchanged in range."""
    arrays = prepare_many(pixels, channels, pixels.shape[1:3], spec)
    tensors = torch.from_numpy(pixels.transpose(0, 3, 1, 2).astype(np.float32))
    prepared = prepare_tensors(tensors, spec, channels=channels, maximum=MAXIMUM[pixels.dtype.name])
    assert prepared.shape == arrays.shape == (2, *spec.shape)
    assert prepared.dtype == torch.float32
    return arrays.astype(np.float64), prepared.double().numpy()


@pytest.mark.parametrize("resize", ["stretch", "cover", "contain"])
@pytest.mark.parametrize("antialias", [True, False])
@pytest.mark.parametrize("kind", ["nearest", "bilinear", "bicubic"])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize(("size", "crop"), [((37, 50), 1.0), ((20, 9), 0.875), ((16, 16), 1.0), ((5, 7), 1.0)])
def test_the_resize_agrees_to_a_level_and_of_floating_images_to_1e_5(
    resize: ResizeRule, antialias: bool, kind: Filter, dtype: str, size: tuple[int, int], crop: float
) -> None:
    spec = spec_of(RGB, dtype, resize=resize, filter=kind, antialias=antialias, crop=crop)
    arrays, tensors = both(extremes(*size, 3, dtype), RGB, spec)
    if dtype == "float32":
        assert np.abs(arrays - tensors).max() <= 1e-5
    else:
        assert np.abs(arrays - tensors.round()).max() <= 1
    if kind == "nearest":
        assert (arrays == tensors).all()


@pytest.mark.parametrize("antialias", [True, False])
@pytest.mark.parametrize("kind", ["bilinear", "bicubic"])
@pytest.mark.parametrize("channels", [GREY, RGB])
@pytest.mark.parametrize("size", [(40, 1), (5, 1), (40, 3), (64, 2)])
def test_a_single_column_equals_the_slow_reference(
    antialias: bool, kind: Filter, channels: tuple[str, ...], size: tuple[int, int]
) -> None:
    for changes in ({"height": 17, "width": 1, "resize": "stretch"}, {"resize": "contain"}):
        spec = spec_of(channels, "float32", filter=kind, antialias=antialias, **changes)
        pixels = np.random.default_rng(0).random((2, *size, len(channels)), np.float32)
        for found in both(pixels, channels, spec):
            expected = np.stack([preparation.prepare(image, spec) for image in pixels])
            np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("size", [(37, 50), (50, 37), (5, 7)])
@pytest.mark.parametrize("kind", ["bilinear", "bicubic"])
def test_the_resize_by_pillow_agrees_to_a_level(kind: Filter, size: tuple[int, int]) -> None:
    changes = {"resize": "contain", "padding": None, "resampler": "pillow", "resized": (18, 14)}
    spec = replace(spec_of(RGB, "uint8", filter=kind, **changes), mean=(0.1, 0.5, 0.9))
    arrays, tensors = both(extremes(*size, 3, "uint8"), RGB, spec)
    assert np.abs(arrays - tensors.round()).max() <= 1
    if size == (37, 50):  # to 10 × 14 pixels, with rows of the channels' means above and below
        assert arrays[0, :, 0].T.tolist() == [[26.0, 128.0, 230.0]] * spec.width


@pytest.mark.parametrize(
    ("channels", "wanted"),
    [(RGB, RGB[::-1]), (RGB, ("green",)), (GREY, RGB), (RGB, GREY), (RGBA, RGB), (RGBA, GREY), (RGBA, RGBA),
     (("grey", "alpha"), RGB), (("a", "b", "c", "d", "e"), ("e", "b"))],
)  # fmt: skip
@pytest.mark.parametrize(("stored", "dtype"), [(a, b) for a in MAXIMUM for b in MAXIMUM])
def test_channels_and_depths_agree(channels: tuple[str, ...], wanted: tuple[str, ...], stored: str, dtype: str) -> None:
    """Without a resize: each conversion that the numpy form rounds adds half a level at most; picking adds none."""
    spec = spec_of(wanted, dtype)
    pixels = extremes(16, 12, len(channels), stored)
    arrays, tensors = both(pixels, channels, spec)
    blended = "alpha" in channels and "alpha" not in wanted
    level = 1 / MAXIMUM[stored] if stored != "float32" else 0.0
    tolerance = level * (0.5 * blended + 0.5 * (wanted == GREY))
    tolerance += 0.5 / MAXIMUM[dtype] if dtype != "float32" else 0.0
    assert np.abs(arrays - tensors).max() / MAXIMUM[dtype] <= tolerance * 1.001 + 1e-5
    exact = not blended and wanted != GREY and (stored, dtype) in {("uint8", "uint8"), ("uint8", "uint16")}
    assert not exact or (arrays == tensors).all()


def test_a_channel_that_is_missing_is_refused_by_both() -> None:
    spec, pixels = spec_of(RGB, "uint8"), extremes(16, 12, 2, "uint8")
    with pytest.raises(DataError, match="takes the channels red, green, blue; the image has a, b"):
        prepare_many(pixels, ("a", "b"), (16, 12), spec)
    with pytest.raises(DataError, match="takes the channels red, green, blue; the image has a, b"):
        prepare_tensors(torch.zeros(1, 2, 16, 12), spec, channels=("a", "b"))


@pytest.mark.parametrize("channels", [RGB, RGBA])
def test_the_gradient_is_that_of_the_numbers(channels: tuple[str, ...]) -> None:
    spec = spec_of(RGB, "uint8", height=6, width=5)
    generator = torch.Generator().manual_seed(0)
    images = 100 + 50 * torch.rand(1, len(channels), 13, 9, dtype=torch.float64, generator=generator)
    weights = torch.randn(1, 3, 6, 5, dtype=torch.float64, generator=generator)

    def weighed(given: torch.Tensor) -> torch.Tensor:
        return (prepare_tensors(given, spec, channels=channels) * weights).sum()

    assert torch.autograd.gradcheck(weighed, images.requires_grad_())


def test_pixels_that_the_crop_removes_have_no_gradient() -> None:
    images = torch.full((1, 3, 32, 96), 100.0, requires_grad=True)
    prepare_tensors(images, spec_of(RGB, "uint8", height=16, width=16)).sum().backward()
    assert images.grad is not None
    reached = (images.grad != 0).any(dim=(0, 1, 2))
    assert reached[33:63].all()
    assert not reached[:30].any()
    assert not reached[66:].any()
