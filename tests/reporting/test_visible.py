"""Pixels for the eye, and a map over the network's input laid back onto the photo."""

from __future__ import annotations

import numpy as np

from striate.core.geometry import place
from striate.core.spec import InputSpec
from striate.data.images.decoded import DecodedImage
from striate.data.preparation.arrays import prepare
from striate.reporting.sheets.rgb import onto_original, shown, shown_input


def _spec(**changes: object) -> InputSpec:
    fields = {"channels": ("blue", "green", "red"), "height": 8, "width": 8, "mean": (0.1, 0.2, 0.3), "std": (2.0,) * 3}
    return InputSpec(**(fields | changes))  # pyright: ignore[reportArgumentType]


def test_the_input_of_the_network_is_shown_in_its_colours() -> None:
    spec = _spec()
    shares = np.zeros((3, 1, 1), np.float32)
    shares[:, 0, 0] = [0.0, 0.5, 1.0]  # blue, green, red
    scaled = (shares - np.array(spec.mean)[:, None, None]) / np.array(spec.std)[:, None, None]
    assert shown_input(scaled.astype(np.float32), spec).tolist() == [[[255, 128, 0]]]


def test_other_channels_than_colours_are_shown_by_their_first() -> None:
    spec = _spec(channels=("near", "far"), mean=(0.0, 0.0), std=(1.0, 1.0))
    image = np.stack([np.full((1, 2), 0.25, np.float32), np.ones((1, 2), np.float32)])
    assert shown_input(image, spec).tolist() == [[[64], [64]]]
    clear = DecodedImage(np.array([[[0, 0]]], np.uint8), ("grey", "alpha"), (1, 1))
    assert shown(clear).tolist() == [[[255]]]


def test_a_map_comes_to_lie_on_what_it_is_about() -> None:
    # A light square in a wide photo: the prepared image itself, taken as a map, must lie on it.
    pixels = np.zeros((40, 80, 1), np.uint8)
    pixels[12:28, 34:50] = 255
    spec = _spec(channels=("grey",), mean=(0.0,), std=(1.0,), height=20, width=20)
    prepared = prepare(DecodedImage(pixels, ("grey",), (40, 80)), spec)[0] / 255.0
    laid = onto_original(prepared.astype(np.float32), place(spec, 40, 80), (40, 80))
    seen = np.isfinite(laid)
    assert seen[:, 20:60].all()
    assert not seen[:, :20].any()
    assert not seen[:, 60:].any(), "the crop has cut both sides away"
    assert np.abs(laid[seen] - pixels[..., 0][seen] / 255).mean() < 0.05


def test_padding_is_no_part_of_the_photo() -> None:
    spec = _spec(channels=("grey",), mean=(0.0,), std=(1.0,), height=20, width=20, resize="contain")
    laid = onto_original(np.arange(400, dtype=np.float32).reshape(20, 20), place(spec, 10, 40), (10, 40))
    assert np.isfinite(laid).all()
    assert laid[0, 0] > 120, "the photo begins below the padding above it"
