"""The contract of visualizations, checked on the smallest member of every family, in every kind of writing."""

from __future__ import annotations

import numpy as np
import pytest

from promises.filled import filled
from promises.found import state
from promises.strangers import WRITTEN, Modular, stranger
from promises.subject import blocks, subject
from striate.core.spec import InputSpec
from striate.explaining.visualize import channel, class_logit, maximize


def spec(size: tuple[int, int], channels: int = 3) -> InputSpec:
    names = ("red", "green", "blue") if channels == 3 else tuple(f"band {number}" for number in range(channels))
    return InputSpec(channels=names, height=size[0], width=size[1], mean=(0.45,) * channels, std=(0.25,) * channels)


@pytest.mark.parametrize("name", blocks())
def test_every_family_is_excited_and_comes_back_as_found(name: str) -> None:
    network, size = filled(name), subject(name).small
    before = state(network)
    objective = class_logit(1)
    if network.feature_maps:
        objective = objective + channel([*network.feature_maps][-1], 0)
    grown = maximize(network, objective, spec(size), steps=1)
    assert state(network) == before
    assert grown.images.shape == (1, *size, 3)
    assert np.isfinite(grown.images).all()
    assert np.isfinite(grown.score).all()


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("written", list(WRITTEN))
def test_the_image_does_not_depend_on_how_the_network_is_written(written: str, channels: int) -> None:
    grown, expected = (
        maximize(stranger(kind, channels), class_logit(1), spec((16, 12), channels), steps=3)
        for kind in (WRITTEN[written], Modular)
    )
    np.testing.assert_allclose(grown.images, expected.images, rtol=0, atol=1e-4)
