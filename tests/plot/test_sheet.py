"""Sheets of small images, and weights as images, against pixels worked by hand."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from striate.plot import SIGNED, filter_images, jpeg, png, sheet


def test_images_lie_row_by_row_with_paper_between_them() -> None:
    pictures = np.stack([np.full((1, 2, 3), value, dtype=np.uint8) for value in (10, 20, 30)])
    assert sheet(pictures, columns=2)[:, :, 0].tolist() == [
        [10, 10, 255, 20, 20],
        [255, 255, 255, 255, 255],
        [30, 30, 255, 255, 255],
    ]


@pytest.mark.parametrize(("count", "shape"), [(1, (3, 3)), (4, (7, 7)), (5, (7, 11))])
def test_is_as_square_as_it_gets(count: int, shape: tuple[int, int]) -> None:
    assert sheet(np.zeros((count, 3, 3, 3), dtype=np.uint8)).shape[:2] == shape


def test_filters_over_colours_are_shown_in_colours_around_mid_grey() -> None:
    weights = np.zeros((1, 3, 1, 3))
    weights[0, 0, 0] = [-1.0, 0.0, 1.0]
    assert filter_images(weights)[0, 0].tolist() == [[0, 128, 128], [128, 128, 128], [255, 128, 128]]


def test_filters_over_other_channels_stand_side_by_side_in_signed_colours() -> None:
    weights = np.array([[[[1.0]], [[-1.0]]], [[[0.5]], [[0.0]]]])
    drawn = filter_images(weights)
    assert drawn.shape == (2, 1, 3, 3)
    assert np.array_equal(drawn[0, 0], SIGNED(np.array([1.0, 0.5, 0.0])))
    assert np.array_equal(drawn[1, 0], SIGNED(np.array([0.75, 0.5, 0.5]))), "all filters are on one scale"


def test_weights_that_are_all_zero_are_drawn() -> None:
    assert (filter_images(np.zeros((2, 3, 2, 2))) == 128).all()


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_a_png_keeps_every_pixel(channels: int) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, channels), dtype=np.uint8)
    with Image.open(io.BytesIO(png(pixels))) as image:
        assert np.array_equal(np.asarray(image).reshape(pixels.shape), pixels)


def test_a_jpeg_keeps_to_its_size() -> None:
    data, size = jpeg(np.full((300, 150, 3), 128, dtype=np.uint8), largest=100)
    assert size == (100, 50)
    with Image.open(io.BytesIO(data)) as image:
        assert (image.height, image.width) == size
        assert abs(int(np.asarray(image)[50, 25, 0]) - 128) <= 1
