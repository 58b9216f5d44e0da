"""Initial weights have the spread that their papers derive, and biases start at zero."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from striate.layers import he_, xavier_


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


@pytest.mark.parametrize("initialise", [he_, xavier_])
def test_every_layer_inside_is_set_and_every_bias_is_zero(initialise) -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Sequential(nn.Linear(4, 5), nn.Linear(5, 6, bias=False)), nn.ReLU())
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.fill_(9.0)
    initialise(network)
    for name, parameter in network.named_parameters():
        assert not (parameter == 9.0).any()
        assert name.endswith("weight") or not parameter.any()
