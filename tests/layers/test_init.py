"""Initial weights have the spread that their papers derive, and biases start at zero."""

from __future__ import annotations

import math
import subprocess
import sys
from functools import partial

import pytest
import torch
from torch import nn

from striate.layers import he_, normal_, truncated_normal_, xavier_


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


def test_on_the_meta_device_there_is_nothing_to_set_and_no_compiler_is_imported() -> None:
    program = """
import sys
import torch
from striate.layers import SqueezeExcitation, he_, normal_, truncated_normal_, xavier_
with torch.device("meta"):
    module = SqueezeExcitation(8, 2)
before = set(sys.modules)
he_(module), xavier_(module), normal_(module, 0.1), truncated_normal_(module, 0.1)
assert module.reduce.weight.is_meta
print(sorted(set(sys.modules) - before))
"""
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


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
