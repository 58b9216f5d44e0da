"""Initial weights have the spread that their papers derive, and biases start at zero."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from reference import initial as reference
from striate.layers import dirac_, he_, normal_, truncated_normal_, whiten_, xavier_
from striate.layers.init import patch_covariance


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


def test_xavier_is_uniform_within_the_bounds_of_its_equation() -> None:
    layer = nn.Conv2d(20, 30, (3, 5))
    xavier_(layer)
    bound = math.sqrt(6 / (20 * 15 + 30 * 15))
    assert float(layer.weight.detach().abs().max()) <= bound
    assert float(layer.weight.detach().abs().max()) > 0.99 * bound
    assert float(layer.weight.detach().std()) == pytest.approx(bound / math.sqrt(3), rel=0.05)


def test_he_is_normal_with_twice_the_inverse_fan_in() -> None:
    layer = nn.Conv2d(20, 30, (3, 5))
    he_(layer)
    std = math.sqrt(2 / (20 * 15))
    assert float(layer.weight.detach().std()) == pytest.approx(std, rel=0.05)
    assert float(layer.weight.detach().abs().max()) > 3 * std  # a uniform law of this spread ends at 1.73


def test_he_keeps_the_scale_through_thirty_layers_with_relu() -> None:
    network = nn.Sequential(*(module for _ in range(30) for module in (nn.Linear(400, 400), nn.ReLU())))
    he_(network)
    with torch.no_grad():
        grown = network(torch.randn(64, 400)).square().mean().sqrt()
    assert 0.2 < float(grown) < 5


@pytest.mark.parametrize(
    ("layer", "fan_in", "fan_out"),
    [
        (nn.Linear(70, 90), 70, 90),
        (nn.Conv1d(40, 60, 5), 40 * 5, 60 * 5),
        (nn.Conv2d(20, 30, (3, 5)), 20 * 15, 30 * 15),
        (nn.Conv3d(10, 20, 3), 10 * 27, 20 * 27),
        (nn.Conv2d(40, 80, 3, groups=4), 10 * 9, 20 * 9),
        (nn.Conv2d(600, 600, 3, groups=600), 9, 9),
        (nn.ConvTranspose2d(20, 30, 3), 20 * 9, 30 * 9),
        (nn.ConvTranspose2d(40, 80, 3, groups=4), 10 * 9, 20 * 9),
    ],
)
def test_a_fan_counts_the_connections_of_one_output_or_of_one_input(
    layer: nn.Conv2d | nn.Linear, fan_in: int, fan_out: int
) -> None:
    he_(layer, fan="in")
    assert float(layer.weight.detach().std()) == pytest.approx(math.sqrt(2 / fan_in), rel=0.05)
    he_(layer, fan="out")
    assert float(layer.weight.detach().std()) == pytest.approx(math.sqrt(2 / fan_out), rel=0.05)
    xavier_(layer)
    assert float(layer.weight.detach().abs().max()) == pytest.approx(math.sqrt(6 / (fan_in + fan_out)), rel=0.01)


def test_normal_laws_have_the_given_spread_and_the_truncated_one_ends_at_two_of_it() -> None:
    layer = nn.Linear(200, 300)
    normal_(layer, 0.01)
    assert float(layer.weight.detach().std()) == pytest.approx(0.01, rel=0.02)
    assert float(layer.weight.detach().abs().max()) > 0.03
    truncated_normal_(layer, 0.01)
    assert float(layer.weight.detach().std()) == pytest.approx(0.0088, rel=0.02)
    assert 0.0199 < float(layer.weight.detach().abs().max()) <= 0.02


@pytest.mark.parametrize("initialise", [he_, xavier_, partial(normal_, std=0.1), partial(truncated_normal_, std=0.1)])
def test_every_layer_inside_is_set_and_every_bias_is_zero(initialise) -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Sequential(nn.Linear(4, 5), nn.Linear(5, 6, bias=False)), nn.ReLU())
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.fill_(9.0)
    initialise(network)
    for name, parameter in network.named_parameters():
        assert not (parameter == 9.0).any()
        assert name.endswith("weight") or not parameter.any()


@pytest.mark.parametrize(("inputs", "outputs"), [(3, 8), (5, 5), (6, 4)])
def test_the_first_filters_of_a_partial_identity_copy_channels_and_the_others_keep_their_weights(
    inputs: int, outputs: int
) -> None:
    conv = nn.Conv2d(inputs, outputs, (5, 3))
    before, count = conv.weight.detach().clone(), min(inputs, outputs)
    dirac_(conv)
    image = torch.randn(1, inputs, 9, 9)
    answer = conv(image)[0].detach()
    torch.testing.assert_close(answer[:count], image[0, :count, 2:-2, 1:-1], rtol=0, atol=0)
    assert torch.equal(conv.weight[count:], before[count:])


def images_with_structure() -> torch.Tensor:
    """Noise whose neighbours and channels are correlated, as those of photos are; means differ from 0."""
    noise = torch.randn(300, 2, 7, 8)
    noise[:, :, :, 1:] += 0.9 * noise[:, :, :, :-1]
    noise[:, 1] += 0.7 * noise[:, 0]
    return 0.3 * noise + torch.tensor([0.2, -0.4])[:, None, None]


def test_the_covariance_of_patches_is_that_of_a_loop_over_them() -> None:
    images = images_with_structure()
    truth = reference.covariance(reference.patches(images.numpy(), 2, 3))
    np.testing.assert_allclose(patch_covariance(images, (2, 3)).numpy(), truth, rtol=1e-9, atol=1e-12)


def test_responses_of_whitening_filters_have_no_covariance_and_both_signs() -> None:
    images, epsilon = images_with_structure(), 0.01
    conv = nn.Conv2d(2, 20, 2)
    kept = conv.weight[16:].detach().clone()
    whiten_(conv, images, epsilon)
    rows = reference.patches(images.numpy(), 2, 2)
    values = np.sort(np.linalg.eigvalsh(reference.covariance(rows)))[::-1]
    filters = conv.weight.detach().double().flatten(1).numpy()
    expected = np.diag(values / (values + epsilon))
    np.testing.assert_allclose(reference.covariance(rows @ filters[:8].T), expected, atol=2e-6)
    assert np.array_equal(filters[8:16], -filters[:8])
    assert torch.equal(conv.weight[16:], kept)
    assert conv.bias is not None
    assert not conv.bias.any()
    assert (filters[:8].max(axis=1) > -filters[:8].min(axis=1)).all()


def test_a_few_whitening_filters_are_the_components_of_largest_variance() -> None:
    images = images_with_structure()
    many, few = nn.Conv2d(2, 16, 2), nn.Conv2d(2, 7, 2)
    for conv in (many, few):
        whiten_(conv, images, 0.01)
    assert torch.equal(few.weight[:3], many.weight[:3])
    assert torch.equal(few.weight[3:6], many.weight[8:11])


@pytest.mark.parametrize("conv", [nn.Conv2d(2, 4, 2), nn.Conv2d(2, 4, 3, groups=2)], ids=["even", "groups"])
def test_a_kernel_without_a_centre_or_with_groups_has_no_identity(conv: nn.Conv2d) -> None:
    with pytest.raises(ValueError, match="odd size and one group"):
        dirac_(conv)


def test_whitening_needs_the_channels_of_the_images() -> None:
    with pytest.raises(ValueError, match="the images' 2 channels"):
        whiten_(nn.Conv2d(3, 8, 2), images_with_structure(), 0.01)
