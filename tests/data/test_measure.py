"""What is measured from data: numbers worked by hand, and the known ones of MNIST and CIFAR-10."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from striate.core.errors import DataError
from striate.core.spec import GREY, RGB
from striate.data.audit.index import ImageIndex
from striate.data.dataset import ArrayStore, Dataset, FileStore, numbered
from striate.data.preparation import measure as measuring
from striate.data.preparation.arrays import normalise, scale, to_shares
from striate.data.preparation.measure import InputSettings, measure
from striate.data.sources.opening import open_data


def index_of(
    sizes: list[tuple[int, int]], channels: str | list[str] = "grey", maxima: float | list[float] = 255.0
) -> ImageIndex:
    count = len(sizes)
    return ImageIndex(
        reasons=np.full(count, "", dtype="U9"),
        details=np.full(count, "", dtype="U9"),
        heights=np.array([size[0] for size in sizes]),
        widths=np.array([size[1] for size in sizes]),
        channels=np.array([channels] * count if isinstance(channels, str) else channels),
        maxima=np.array([maxima] * count if isinstance(maxima, float) else maxima),
        modes=np.full(count, ""),
        orientations=np.ones(count, np.int64),
        digests=np.random.default_rng(0).integers(0, 256, (count, 32), np.uint8),
        visible=np.random.default_rng(0).integers(0, 256, (count, 32), np.uint8),
        near_duplicate_of=np.arange(count),
        compared=np.empty(0, np.int64),
        thumbnails=np.empty((0, 48, 48), np.uint8),
        tints=np.empty((0, 8, 8, 2), np.int8),
    )


def array_data(pixels: np.ndarray) -> Dataset:
    count = len(pixels)
    return Dataset("array", ArrayStore(pixels, numbered("train", count)), ("a", "b"), np.zeros(count, np.int64))


def file_data(folder: Path, images: list[Image.Image]) -> Dataset:
    names = [f"{number}.png" for number in range(len(images))]
    for name, image in zip(names, images, strict=True):
        image.save(folder / name)
    return Dataset("files", FileStore(folder, names), ("a", "b"), np.zeros(len(images), np.int64))


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRIATE_CACHE", str(tmp_path_factory.mktemp("cache")))


def test_mean_and_std_are_over_the_pixels_of_the_training_images_only():
    pixels = np.array([[0, 51], [102, 255]], np.uint8).reshape(1, 2, 2, 1)
    pixels = np.concatenate([pixels, np.full((1, 2, 2, 1), 99, np.uint8)])
    spec = measure(array_data(pixels), index_of([(2, 2)] * 2), np.array([0]))
    assert (spec.channels, spec.size, spec.maximum) == (GREY, (2, 2), 255.0)
    assert spec.mean == (0.4,)
    assert spec.std == (pytest.approx(np.std([0, 0.2, 0.4, 1.0]), abs=1e-6),)


@pytest.mark.parametrize(("dtype", "maximum"), [("uint8", 255.0), ("uint16", 65535.0), ("float32", 1.0)])
def test_mean_and_std_equal_numpy_in_every_depth(dtype, maximum):
    pixels = (np.random.default_rng(0).random((150, 7, 5, 3)) * maximum).astype(dtype)
    spec = measure(array_data(pixels), index_of([(7, 5)] * 150, "red,green,blue", maximum), np.arange(150))
    shares = pixels.astype(np.float64) / maximum
    np.testing.assert_allclose(spec.mean, shares.mean(axis=(0, 1, 2)), atol=1e-6)
    np.testing.assert_allclose(spec.std, shares.std(axis=(0, 1, 2)), atol=1e-6)
    assert spec.maximum == maximum


@pytest.mark.parametrize("offset", [0.0, 1.0, 1000.0])
@pytest.mark.parametrize("factor", [1e-28, 1e-8, 1e-3, 1.0, 1e4, 1e26])
def test_floating_data_of_any_scale_and_offset_are_standardised(factor: float, offset: float):
    """Scores by numpy in float64; a thousand stds of offset cost float32 three of its seven digits."""
    drawn = np.random.default_rng(0).random((80, 6, 6, 2))
    pixels = ((drawn + offset) * factor).astype(np.float32)
    spec = measure(array_data(pixels), index_of([(6, 6)] * 80, "channel1,channel2", 1.0), np.arange(80))
    planes = torch.from_numpy(pixels.transpose(0, 3, 1, 2).copy())
    exact = pixels.astype(np.float64).transpose(0, 3, 1, 2)
    axes = (0, 2, 3)
    exact = (exact - exact.mean(axes, keepdims=True)) / exact.std(axes, keepdims=True)
    assert np.abs(scale(planes, spec).numpy() - exact).max() < 1e-3
    assert np.abs(normalise(to_shares(planes, spec), spec).numpy() - exact).max() < 1e-3


def test_each_channel_is_rounded_at_its_own_scale():
    drawn = np.random.default_rng(0).random((50, 4, 4, 3)).astype(np.float32)
    pixels = drawn * np.array([1e-9, 0, 1], np.float32) + np.array([0, 0.1, 1e5], np.float32)
    spec = measure(array_data(pixels), index_of([(4, 4)] * 50, "red,green,blue", 1.0), np.arange(50))
    assert spec.std[0] == pytest.approx(pixels[..., 0].astype(np.float64).std(), rel=1e-5)
    assert (spec.mean[1], spec.std[1]) == (pytest.approx(0.1), 1.0)
    assert spec.std[2] == pytest.approx(pixels[..., 2].astype(np.float64).std(), rel=1e-5)


def test_small_values_in_sixteen_bits_keep_six_digits():
    pixels = np.random.default_rng(0).integers(0, 10, (60, 5, 5, 1)).astype(np.uint16)
    spec = measure(array_data(pixels), index_of([(5, 5)] * 60, maxima=65535.0), np.arange(60))
    assert spec.mean == (pytest.approx(pixels.mean() / 65535, rel=1e-5),)
    assert spec.std == (pytest.approx(pixels.std() / 65535, rel=1e-5),)


@pytest.mark.parametrize("value", [0.1, 1e-8, 12345.678])
def test_resampled_constants_are_constant(value: float):
    """The resize leaves a last bit of difference, which is not standardised to an image of its own."""
    pixels = np.full((3, 13, 17, 1), value, np.float32)
    settings = InputSettings(height=7, width=9)
    spec = measure(array_data(pixels), index_of([(13, 17)] * 3, maxima=1.0), np.arange(3), settings)
    assert (spec.mean, spec.std) == ((pytest.approx(value, rel=1e-5),), (1.0,))


def test_a_constant_channel_has_std_one():
    assert measure(array_data(np.full((3, 4, 4, 1), 7, np.uint8)), index_of([(4, 4)] * 3), np.arange(3)).std == (1.0,)


def test_large_data_are_sampled_evenly_and_the_sample_is_of_the_data_alone(monkeypatch):
    pixels = np.arange(100, dtype=np.uint8).reshape(100, 1, 1, 1)
    monkeypatch.setattr(measuring, "_VALUES", 10)
    spec = measure(array_data(pixels), index_of([(1, 1)] * 100), np.arange(100))
    assert spec.mean == (pytest.approx(np.arange(0, 100, 10).mean() / 255, abs=1e-6),)


def test_one_image_in_colour_makes_all_colour_and_alpha_is_no_channel(tmp_path):
    data = file_data(tmp_path, [Image.new("L", (4, 4), 255), Image.new("RGBA", (4, 4), (0, 0, 0, 255))])
    spec = measure(data, index_of([(4, 4)] * 2, ["grey", "red,green,blue,alpha"]), np.arange(2))
    assert (spec.channels, spec.mean) == (RGB, (0.5,) * 3)


def test_the_depth_of_most_counts_and_of_equally_many_the_larger(tmp_path):
    data = file_data(tmp_path, [Image.new("L", (4, 4), 255), *[Image.fromarray(np.zeros((4, 4), np.uint16))] * 2])
    index = index_of([(4, 4)] * 3, maxima=[255.0, 65535.0, 65535.0])
    spec = measure(data, index, np.arange(3))
    assert (spec.maximum, spec.mean) == (65535.0, (pytest.approx(1 / 3, abs=1e-6),))
    assert measure(data, index, np.arange(2)).maximum == 65535.0
    index = index_of([(4, 4)] * 3, maxima=[255.0, 255.0, 65535.0])
    spec = measure(data, index, np.arange(3))
    assert (spec.maximum, spec.mean) == (255.0, (pytest.approx(1 / 3, abs=1e-6),))


def test_unreadable_images_are_left_out(tmp_path):
    data = file_data(tmp_path, [Image.new("L", (4, 4), 255)] * 3)
    (tmp_path / "1.png").write_bytes(b"")
    index = index_of([(4, 4)] * 3)
    index = replace(index, reasons=np.array(["", "empty", ""]))
    assert measure(data, index, np.arange(3)).mean == (1.0,)
    with pytest.raises(DataError, match="files: there is no readable image to train on"):
        measure(data, index, np.array([1]))


def test_other_channels_cannot_be_mixed_and_the_odd_image_is_named(tmp_path):
    data = file_data(tmp_path, [Image.new("L", (4, 4))] * 3)
    with pytest.raises(DataError, match=r"need the same channels .* Most have grey; 1\.png has channel1, channel2\."):
        measure(data, index_of([(4, 4)] * 3, ["grey", "channel1,channel2", "grey"]), np.arange(3))


@pytest.mark.parametrize(
    ("sizes", "given", "expected"),
    [
        ([(28, 28)] * 3, {}, (28, 28)),
        ([(20, 30)] * 2 + [(90, 90)], {}, (20, 30)),
        ([(300, 400)] * 3, {}, (48, 64)),
        ([(20, 30), (40, 30), (90, 50)], {}, (30, 30)),
        ([(200, 300), (400, 300), (900, 500)], {}, (64, 64)),
        ([(28, 28)] * 3, {"height": 32}, (32, 32)),
        ([(28, 28)] * 3, {"height": 32, "width": 40}, (32, 40)),
    ],
)
def test_the_size_follows_from_the_sizes(tmp_path, sizes, given, expected):
    data = file_data(tmp_path, [Image.new("L", (width, height)) for height, width in sizes])
    assert measure(data, index_of(sizes), np.arange(3), InputSettings(**given)).size == expected


@pytest.mark.parametrize(
    ("name", "mean", "std"),
    [("mnist", 0.1307, 0.3081), ("fashion-mnist", 0.2860, 0.3530)],
)
def test_the_known_numbers_of_real_data(real_data: Callable[[str], Path], name, mean, std):
    """As everyone types them, to four decimals."""
    data = open_data(real_data(name))
    spec = measure(data, index_of([(28, 28)] * len(data)), data.splits["train"])
    assert spec.mean == (pytest.approx(mean, abs=6e-5),)
    assert spec.std == (pytest.approx(std, abs=6e-5),)
    assert json.dumps(spec.mean) == json.dumps([round(spec.mean[0], 6)])
