"""Colour maps whose lightness alone shows the order."""

from __future__ import annotations

import matplotlib
import numpy as np
import pytest
from skimage.color import deltaE_ciede2000, rgb2lab

from striate.plot import AMOUNT, DARK, HEAT, SIGNED, Colormap, signed


def _lightness(colours: np.ndarray) -> np.ndarray:
    return rgb2lab(colours[None])[0, :, 0]


def test_an_amount_gets_darker_all_the_way() -> None:
    lightness = _lightness(AMOUNT(np.linspace(0, 1, 101)))
    assert (np.diff(lightness) < 0).all()
    assert lightness[0] - lightness[-1] > 70


def test_a_signed_amount_gets_darker_away_from_zero_on_both_sides() -> None:
    lightness = _lightness(SIGNED(np.linspace(0, 1, 101)))
    assert (np.diff(lightness[:51]) > 0).all()
    assert (np.diff(lightness[50:]) < 0).all()


@pytest.mark.parametrize("colormap", [AMOUNT, SIGNED], ids=lambda colormap: colormap.name)
def test_goes_through_its_anchors(colormap: Colormap) -> None:
    drawn = colormap(np.linspace(0, 1, len(colormap.anchors)))
    assert [f"#{r:02x}{g:02x}{b:02x}" for r, g, b in drawn.tolist()] == list(colormap.anchors)


def test_the_middle_of_black_and_white_is_half_as_light_to_the_eye() -> None:
    # Oklab's lightness is the cube root of the linear intensity for greys: 0.5 ** 3 of it, in sRGB.
    (grey,) = Colormap("grey", ("#000000", "#ffffff"))(np.array([0.5])).tolist()
    assert grey == [round(255 * (1.055 * 0.125 ** (1 / 2.4) - 0.055))] * 3


def test_outside_and_unknown_values_are_drawn_as_ends() -> None:
    ends = AMOUNT(np.array([0.0, 1.0]))
    assert np.array_equal(AMOUNT(np.array([-3.0, 7.0, np.nan])), ends[[0, 1, 0]])


def test_zero_is_paper_and_both_signs_reach_equally_far() -> None:
    drawn = signed(np.array([-2.0, 0.0, 2.0]))
    assert np.array_equal(drawn, SIGNED(np.array([0.0, 0.5, 1.0])))
    assert np.array_equal(signed(np.zeros(2)), SIGNED(np.array([0.5, 0.5])))
    assert np.array_equal(signed(np.array([1.0]), largest=2.0), SIGNED(np.array([0.75])))


def _unevenness(colours: np.ndarray) -> float:
    """Spread of the differences that the eye sees between 32 equal steps, as a share of their mean."""
    lab = rgb2lab(colours[None])[0]
    steps = deltaE_ciede2000(lab[1:], lab[:-1])
    return float(steps.std() / steps.mean())


@pytest.mark.parametrize("colormap", [AMOUNT, SIGNED, HEAT, DARK.amount, DARK.signed], ids=lambda one: one.name)
def test_equal_steps_look_as_equal_as_those_of_viridis(colormap: Colormap) -> None:
    at = np.linspace(0, 1, 33)
    viridis = np.rint(matplotlib.colormaps["viridis"](at)[:, :3] * 255).astype(np.uint8)
    assert _unevenness(colormap(at)) <= 1.1 * _unevenness(viridis)


@pytest.mark.parametrize("colormap", [HEAT, DARK.amount], ids=lambda one: one.name)
def test_where_paper_is_dark_more_is_lighter(colormap: Colormap) -> None:
    assert (np.diff(_lightness(colormap(np.linspace(0, 1, 101)))) > 0).all()
