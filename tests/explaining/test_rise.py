"""RISE: its masks, and its average."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from promises.subject import pictures
from striate.core.errors import ConfigError
from striate.explaining import rise


class Overhearing(nn.Module):
    """It keeps the images that it is shown; the class is sure where the corner is visible."""

    def __init__(self) -> None:
        super().__init__()
        self.shown: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        self.shown.append(x[:, 0].clone())
        corner = x[:, 0, 2:5, 3:6].mean((1, 2))
        return torch.stack([4 * corner, torch.zeros_like(corner)], 1)


def test_the_map_is_the_mean_of_the_masks_weighted_by_the_probability() -> None:
    """Of white images the network is shown the very masks: the average is taken again from what it saw."""
    model = Overhearing()
    found = rise(model, torch.ones(1, 1, 20, 15), 0, masks=150, cells=4, shown=0.4)
    masks = torch.cat(model.shown)[-150:].double().numpy()  # before them: the image, and a trial of independence
    assert masks.shape == (150, 20, 15)
    expected = np.zeros((20, 15))
    for mask in masks:
        corner = mask[2:5, 3:6].mean()
        expected += mask * np.exp(4 * corner) / (np.exp(4 * corner) + 1) / (0.4 * 150)
    np.testing.assert_allclose(found.values[0], expected, rtol=1e-4)
    np.testing.assert_allclose(found.score, [4.0])
    top, left = np.unravel_index(found.values[0].argmax(), (20, 15))
    assert top < 8
    assert left < 9


def test_one_logit_weights_the_masks_by_its_sigmoid() -> None:
    """A network with one logit is the same as one with a second logit of 0."""

    class One(Overhearing):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x)[:, :1]

    images = torch.ones(1, 1, 20, 15)
    one, two = (rise(model, images, 0, masks=100, cells=4) for model in (One(), Overhearing()))
    np.testing.assert_allclose(one.values, two.values, rtol=1e-5)


def test_the_masks_are_smooth_random_and_shifted() -> None:
    model = Overhearing()
    rise(model, torch.ones(1, 1, 28, 28), masks=400, shown=0.3)
    masks = torch.cat(model.shown)[-400:].numpy()
    assert masks.min() >= 0
    assert masks.max() <= 1
    assert abs(masks.mean() - 0.3) < 0.02
    assert np.abs(masks.mean(0) - 0.3).max() < 0.12  # nowhere more than elsewhere
    assert np.abs(np.diff(masks, axis=1)).max() <= 0.25 + 1e-6  # cells are four pixels high
    # The middle of a cell, where the mask bends, falls on every row alike: the shift is drawn from all four.
    bends = (np.abs(np.diff(masks, n=2, axis=1)) > 0.01).mean((0, 2))[4:-4]
    assert bends.std() < 0.25 * bends.mean()


def test_every_image_meets_the_same_masks_and_the_seed_decides() -> None:
    images = pictures(3, (16, 12), channels=1)
    model = Overhearing()
    together = rise(model, images, 0, masks=20).values
    apart = np.concatenate([rise(model, image[None], 0, masks=20).values for image in images])
    np.testing.assert_allclose(together, apart, rtol=1e-5)
    assert not np.allclose(rise(model, images, 0, masks=20, seed=1).values, together)


@pytest.mark.parametrize("settings", [{"masks": 0}, {"cells": 0}, {"shown": 0.0}, {"shown": 1.0}])
def test_settings_that_make_no_masks_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="RISE needs"):
        rise(Overhearing(), pictures(1, (16, 12), channels=1), **settings)
