"""Activation grids on a network whose map is the colour of each square of the image."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from striate.core.errors import ConfigError
from striate.explaining import activation_grid
from striate.explaining.model_input import ImageError
from striate.hooks import PlaceError

COLOURS = torch.eye(3)
PIXELS = 4


def squares(*rows: list[int]) -> Tensor:
    """An image of squares of the colours."""
    small = COLOURS[torch.tensor(rows)].permute(2, 0, 1)
    return small.repeat_interleave(PIXELS, 1).repeat_interleave(PIXELS, 2)


def network() -> nn.Sequential:
    """Averages the colour over each square."""
    see = nn.Conv2d(3, 3, PIXELS, PIXELS, bias=False)
    with torch.no_grad():
        see.weight.copy_(torch.eye(3)[:, :, None, None].expand(3, 3, PIXELS, PIXELS) / PIXELS**2)
    return nn.Sequential(see, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 2))


def test_each_position_finds_the_first_image_with_its_colour_and_the_patch_shows_it() -> None:
    asked = torch.stack([squares([0, 1], [2, 0]), squares([1, 1], [1, 1]) * 2])
    many = torch.stack([squares([0, 0], [0, 0]), squares([1, 0], [1, 1]), squares([1, 1], [1, 2])])
    one, other = activation_grid(network(), asked, [([10, 11], many[:2]), ([12], many[2:])])
    assert one.place == "relu:1"
    assert one.index.tolist() == [[10, 11], [12, 10]]
    assert other.index.tolist() == [[11, 11], [11, 11]]
    np.testing.assert_allclose(one.similarity, 1, atol=1e-6)
    np.testing.assert_allclose(one.strength, 1, atol=1e-6)
    np.testing.assert_allclose(other.strength, 2, atol=1e-6)
    # The receptive field is the square itself, so the patch is one square of one colour.
    assert one.patches.shape == (2, 2, 3, PIXELS, PIXELS)
    for y, x, colour in ((0, 0, 0), (0, 1, 1), (1, 0, 2), (1, 1, 0)):
        expected = COLOURS[colour][:, None, None].expand(3, PIXELS, PIXELS)
        np.testing.assert_array_equal(one.patches[y, x], expected.numpy())


def test_tokens_are_laid_out_and_their_patches_stay_within_the_image() -> None:
    class Tokens(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cut, self.norm, self.head = nn.Conv2d(3, 5, 2, 2), nn.LayerNorm(5), nn.Linear(5, 2)

        def forward(self, images: Tensor) -> Tensor:
            return self.head(self.norm(self.cut(images).flatten(2).transpose(1, 2)).mean(1))

    images = torch.rand(3, 3, 8, 8)
    (found,) = activation_grid(Tokens(), images[1:2], [(range(3), images)])
    assert found.index.tolist() == [[1] * 4] * 4, "an image that is searched finds itself"
    assert found.patches.shape == (4, 4, 3, 6, 6)
    np.testing.assert_array_equal(found.patches[0, 0], images[1, :, :6, :6].numpy())
    np.testing.assert_array_equal(found.patches[3, 3], images[1, :, 2:, 2:].numpy())


def test_mistakes_get_a_sentence() -> None:
    images, large = torch.rand(1, 3, 8, 8), torch.rand(1, 3, 40, 40)
    with pytest.raises(ImageError, match="one size"):
        activation_grid(network(), images, [(range(1), torch.rand(1, 3, 12, 12))])
    with pytest.raises(PlaceError):
        activation_grid(network(), images, [(range(1), images)], at="3")
    with pytest.raises(ConfigError, match="at most 32 rows"):
        activation_grid(nn.Sequential(nn.Conv2d(3, 4, 1)), large, [([0], large)], at="0")
