"""Maps over images, sheets with words, and changes that are amplified: against pixels worked by hand."""

from __future__ import annotations

import numpy as np
import pytest

from striate.plot import (
    HEAT,
    SIGNED,
    Tile,
    amplified,
    coloured,
    fooling,
    map_images,
    overlay,
    overlay_scale,
    reach,
    tiles,
)

GREY = np.full((4, 4, 1), 128, dtype=np.uint8)


def test_the_strongest_place_has_most_of_the_last_colour_and_an_empty_one_shows_the_image() -> None:
    values = np.zeros((4, 4))
    values[0, 0] = 2.0
    drawn = overlay(GREY, values, largest=2.0).astype(float)
    grey = 24 + (232 - 24) * 128 / 255
    first, last = HEAT(np.array([0.0, 1.0])).astype(float)
    assert np.allclose(drawn[0, 0], 0.2 * grey + 0.8 * last, atol=1)
    assert np.allclose(drawn[3, 3], 0.5 * grey + 0.5 * first, atol=1)


def test_both_signs_of_a_map_have_their_colour_at_the_same_distance_from_zero() -> None:
    values = np.zeros((4, 4))
    values[0, 0], values[0, 1] = 3.0, -3.0
    drawn = overlay(GREY, values, signed=True, largest=3.0).astype(float)
    grey = 24 + (232 - 24) * 128 / 255
    ends = SIGNED(np.array([1.0, 0.0])).astype(float)
    assert np.allclose(drawn[0, :2], 0.2 * grey + 0.8 * ends, atol=1)


def test_outside_of_the_networks_input_there_is_no_colour() -> None:
    values = np.full((4, 4), np.nan)
    values[0] = [0.0, 1.0, 2.0, 3.0]
    drawn = overlay(GREY, values).astype(int)
    assert (np.ptp(drawn[1:], axis=2) == 0).all()
    assert (np.ptp(drawn[0, 1:], axis=1) > 20).all()


def test_the_scale_ends_where_its_colours_do() -> None:
    values = np.arange(1000.0).reshape(20, 50)
    values[-1, -1] = 1e9  # one value above all others does not hide them
    assert reach(values) == pytest.approx(989, abs=2)
    assert overlay_scale(values).most == f"{reach(values):.3g}"
    signed = overlay_scale(-values, signed=True, largest=5.0)
    assert (signed.least, signed.middle, signed.most) == ("−5", "0", "5")
    above = overlay_scale(values + 7)
    assert above.least == "7", "an amount that is nowhere zero begins where it is least"
    assert reach(np.full((3, 3), np.nan)) == 0.0
    assert reach(np.eye(300)) == 1.0, "a map that is nearly empty still has its largest value"


def test_a_map_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="does not fit"):
        overlay(GREY, np.zeros((4, 5)))


def test_an_empty_map_and_an_empty_change_are_drawn() -> None:
    assert overlay(GREY, np.zeros((4, 4))).shape == (4, 4, 3)
    drawn, times = amplified(np.zeros((4, 4, 3), np.int16))
    assert (drawn == 128).all()
    assert times == 1


def test_a_change_is_multiplied_by_the_number_that_is_said() -> None:
    change = np.array([[[3, -3, 0]]], np.int16)
    drawn, times = amplified(change)
    assert times == 37
    assert drawn.tolist() == [[[128 + 111, 128 - 111, 128]]]
    after = np.full((4, 4, 3), 131, np.uint8)
    figure = fooling(coloured(GREY), after, np.full((4, 4, 3), 3.0), caption_before=("cat",), caption_after=("dog",))
    said = " ".join(text.get_text() for text in figure.texts)
    assert "×37" in said
    assert "at most 3 of 255 grey levels" in said
    with pytest.raises(ValueError, match="differ in size"):
        fooling(GREY, after, np.zeros((4, 4, 3)), caption_before=(), caption_after=())


def test_a_small_image_is_enlarged_by_whole_pixels_and_a_large_one_keeps_its_proportions() -> None:
    small, large = np.zeros((30, 20, 3), np.uint8), np.zeros((300, 600, 3), np.uint8)
    figure = tiles([Tile(small), Tile(large)], side=1.0)  # 200 dots
    shapes = [np.asarray(axes.images[0].get_array()).shape for axes in figure.axes]
    assert shapes == [(210, 140, 3), (100, 200, 3)]


def test_a_sheet_without_images_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        tiles([])


def test_maps_with_and_without_a_sign_have_their_own_colours() -> None:
    drawn = map_images(np.array([[[0.0, 2.0]], [[-1.0, 1.0]], [[0.0, 0.0]]]))
    assert drawn[1].tolist() == SIGNED(np.array([[0.0, 1.0]])).tolist()
    assert (drawn[0, 0, 0] == drawn[2, 0, 0]).all()
    assert drawn[0, 0, 1].sum() < 200
