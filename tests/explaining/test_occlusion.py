"""Occlusion by hand: where patches lie, what they show, and the drop of the score under them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from striate.core.errors import ConfigError
from striate.explaining import METHODS, occlusion
from striate.explaining.occluding.patch_grid import covers, positions


def _linear(channels: int, height: int, width: int) -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(nn.Flatten(), nn.Linear(channels * height * width, 3))


def _weights(model: nn.Module, target: int, shape: tuple[int, ...]) -> Tensor:
    linear = model[1]  # pyright: ignore[reportIndexIssue]
    return linear.weight[target].detach().reshape(shape)


def test_single_pixels_on_a_linear_network_are_weight_times_pixel() -> None:
    model, images = _linear(1, 4, 5), torch.randn(2, 1, 4, 5)
    found = occlusion(model, images, 2, patch=1, stride=1)
    np.testing.assert_allclose(found.values, (_weights(model, 2, (1, 4, 5)) * images).sum(1), rtol=1e-5, atol=1e-6)


def test_a_patch_hides_all_channels_and_shows_its_fill() -> None:
    model, images, shown = _linear(3, 4, 5), torch.randn(2, 3, 4, 5), torch.tensor([0.5, -1.0, 2.0])[:, None, None]
    found = occlusion(model, images, [0, 2], patch=1, stride=1, fill=shown)
    for picture, target in enumerate([0, 2]):
        expected = (_weights(model, target, (3, 4, 5)) * (images[picture] - shown)).sum(0)
        np.testing.assert_allclose(found.values[picture], expected, rtol=1e-5, atol=1e-6)


def test_a_pixel_has_the_mean_of_the_patches_over_it_and_the_last_one_is_cut_by_the_border() -> None:
    """A row of five: patches of two at 0, 2 and, cut by the border, 4; then with a stride of one, worked by hand."""
    model = nn.Flatten()
    image = torch.tensor([[[[1.0, 2, 3, 4, 5]]]])

    class Total(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return model(x).sum(1, keepdim=True)

    apart = occlusion(Total(), image, 0, patch=(1, 2), stride=2)
    np.testing.assert_array_equal(apart.values[0, 0], [3, 3, 7, 7, 5])
    over = occlusion(Total(), image, 0, patch=(1, 2), stride=1)
    np.testing.assert_array_equal(over.values[0, 0], [3, 4, 6, 8, 9])


def test_the_drop_is_positive_where_the_image_speaks_for_the_score() -> None:
    class Bright(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            corner = x[:, 0, :4, :4].mean((1, 2))
            return torch.stack([corner, -corner], 1)

    image = torch.ones(1, 1, 8, 8)
    speaking, against = (occlusion(Bright(), image, target, patch=4).values for target in (0, 1))
    assert speaking[0, 0, 0] == 1
    assert speaking[0, 7, 7] == 0
    np.testing.assert_array_equal(speaking, -against)
    assert METHODS["occlusion"].signed


def test_patches_show_grey_the_mean_a_blur_or_noise() -> None:
    image = torch.rand(1, 3, 32, 28) + torch.tensor([0.0, 1, 2])[:, None, None]
    places = positions((32, 28), 8, 4)
    assert not covers(image, "grey", places, 0).any()
    mean = covers(image, "mean", places, 0)
    torch.testing.assert_close(mean[0, :, 3, 4], image[0].mean((1, 2)))
    blurred = covers(image, "blurred", places, 0)
    assert (blurred.std((2, 3)) < image.std((2, 3)) / 2).all()
    torch.testing.assert_close(blurred.mean((2, 3)), image.mean((2, 3)), atol=0.05, rtol=0)
    flat = torch.full((1, 1, 9, 9), 3.0)
    torch.testing.assert_close(covers(flat, "blurred", positions((9, 9), 4, 2), 0), flat)
    noise = covers(image, "noise", places, 5)
    assert torch.equal(noise, covers(image, "noise", places, 5))
    assert not torch.equal(noise, covers(image, "noise", places, 6))
    torch.testing.assert_close(noise.mean((2, 3)), image.mean((2, 3)), atol=0.05, rtol=0)


def test_the_result_repeats_and_random_numbers_stay_as_they_were() -> None:
    model, images = _linear(3, 8, 8), torch.randn(1, 3, 8, 8)
    before = torch.get_rng_state()
    first, second = (occlusion(model, images, fill="noise", seed=3).values for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"patch": 9}, "does not fit"),
        ({"patch": 2, "stride": 3}, "leaves gaps"),
        ({"patch": 0}, "from 1 on"),
        ({"patch": (2, 2, 2)}, "from 1 on"),
        ({"fill": "gray"}, "'grey', 'mean'"),
        ({"fill": torch.zeros(2)}, "must broadcast"),
    ],
)
def test_a_mistake_is_refused_in_a_sentence(settings: dict[str, object], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        occlusion(_linear(3, 8, 8), torch.randn(1, 3, 8, 8), **settings)  # pyright: ignore[reportArgumentType]
