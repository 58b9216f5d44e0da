"""Where pixels come to lie: worked by hand, there and back, and as Pillow's and torchvision's users know it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from striate.core.config import from_json, to_json
from striate.core.errors import ConfigError
from striate.core.geometry import Placement, place
from striate.core.spec import GREY, InputSpec, ResizeRule


def spec_of(height: int, width: int, resize: ResizeRule = "cover", crop: float = 1.0) -> InputSpec:
    return InputSpec(channels=GREY, height=height, width=width, mean=(0.0,), std=(1.0,), resize=resize, crop=crop)


@pytest.mark.parametrize(
    ("resize", "crop", "size", "resized", "offset"),
    [
        # 375 × 500 to a shorter side of 256, then the centre 224 × 224: ImageNet's usual preparation.
        ("cover", 0.875, (375, 500), (256, 341), (16, 58)),
        ("cover", 1.0, (375, 500), (224, 299), (0, 37)),
        ("contain", 1.0, (375, 500), (168, 224), (-28, 0)),
        ("contain", 1.0, (501, 500), (224, 224), (0, 0)),
        ("stretch", 1.0, (375, 500), (224, 224), (0, 0)),
        ("stretch", 0.875, (375, 500), (256, 256), (16, 16)),
        ("cover", 1.0, (1, 1000), (224, 224000), (0, 111888)),
        ("contain", 1.0, (1, 1000), (1, 224), (-112, 0)),
    ],
)
def test_placements_worked_by_hand(resize, crop, size, resized, offset):
    assert place(spec_of(224, 224, resize, crop), *size) == Placement(size, resized, offset)


@pytest.mark.parametrize(
    ("changes", "size", "resized", "offset"),
    [
        # torchvision: the longer side is cut (341.33), and 58.5 pixels become 58, the even one; 59.5 become 60.
        ({"resized": (256, 256), "side_rounding": "floor"}, (375, 500), (256, 341), (16, 58)),
        ({"resized": (232, 232), "side_rounding": "floor"}, (500, 376), (308, 232), (42, 4)),
        ({"resized": (235, 235)}, (400, 583), (235, 343), (6, 60)),
        ({"resized": (224, 224), "resize": "contain"}, (223, 101), (224, 101), (0, -61)),
        ({"resized": (260, 250), "resize": "stretch"}, (31, 80), (260, 250), (18, 13)),
    ],
)
def test_placements_of_other_libraries_worked_by_hand(changes, size, resized, offset):
    spec = replace(spec_of(224, 224), offset_rounding="nearest", **changes)
    assert place(spec, *size) == Placement(size, resized, offset)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"resized": (256, 256), "crop": 0.875}, "give one of them"),
        ({"resized": (256,)}, "a height and a width"),
        ({"resized": (256, 0)}, "a height and a width"),
        ({"side_rounding": "floor"}, "give resized, too"),
        ({"resampler": "pillow", "maximum": 65535.0}, "8-bit"),
        ({"resampler": "pillow", "antialias": False}, "with antialias"),
    ],
)
def test_contradictions_are_refused(changes, says):
    with pytest.raises(ConfigError, match=says):
        replace(spec_of(224, 224), **changes)


def test_the_specification_of_another_library_survives_json():
    spec = replace(spec_of(9, 9), resized=(9, 8), side_rounding="floor", resampler="pillow", padding=None)
    assert from_json(InputSpec, to_json(spec)) == spec


sides = st.integers(1, 3000)
rules = st.sampled_from(["stretch", "cover", "contain"])
inputs = st.tuples(st.integers(1, 300), st.integers(1, 300), rules, st.floats(0.5, 1.0))


@given(inputs, sides, sides, st.floats(-500, 500), st.floats(-500, 500))
def test_to_original_and_back_is_where_one_was(given_spec, height, width, y, x):
    placement = place(spec_of(*given_spec), height, width)
    assert placement.to_input(*placement.to_original(y, x)) == pytest.approx((y, x), abs=1e-6)


@given(inputs, sides, sides)
def test_cover_leaves_nothing_empty_and_contain_cuts_nothing_away(given_spec, height, width):
    spec = spec_of(*given_spec)
    placement = place(spec, height, width)
    corners = placement.to_original(0.0, 0.0), placement.to_original(float(spec.height), float(spec.width))
    if spec.resize == "cover":
        assert all(low >= 0 for low in corners[0])
        assert corners[1][0] <= height + 1e-9
        assert corners[1][1] <= width + 1e-9
    if spec.resize == "contain" and spec.crop == 1.0:
        assert placement.resized[0] <= spec.height
        assert placement.resized[1] <= spec.width
        assert all(offset <= 0 for offset in placement.offset)


@given(inputs, sides, sides)
def test_the_centre_stays_the_centre_to_within_a_pixel(given_spec, height, width):
    spec = spec_of(*given_spec)
    y, x = place(spec, height, width).to_input(height / 2, width / 2)
    assert abs(y - spec.height / 2) <= 0.5
    assert abs(x - spec.width / 2) <= 0.5


def test_pixel_centres_of_a_halved_image():
    """A 4 × 4 image at half its size: the first pixel covers the first two, so its centre is the point (1, 1)."""
    assert place(spec_of(2, 2), 4, 4).to_original(0.5, 0.5) == (1.0, 1.0)
