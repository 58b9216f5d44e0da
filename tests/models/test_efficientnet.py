"""EfficientNet and EfficientNetV2 against their papers' tables and arithmetic."""

from __future__ import annotations

import functools
import math

import pytest
import torch
from torch import nn

from striate.layers import SqueezeExcitation, StochasticDepth
from striate.models import MODELS, Network, create_model, meta_model
from striate.models.families.efficientnet import Block, MBConv
from striate.models.families.efficientnet_v2 import FusedMBConv
from striate.tracing import describe

B = [f"efficientnet_b{number}" for number in range(8)]


@functools.cache
def _sketch(name: str) -> Network:
    return meta_model(name, classes=1000, size=MODELS[name].card.input[1:])


def _blocks(network: Network) -> list[Block]:
    return [module for module in network.modules() if isinstance(module, Block)]


def test_b0_has_the_sizes_of_table_1() -> None:
    description = describe(_sketch("efficientnet_b0"), (3, 224, 224))
    last = ("stage1.block1.project.norm", "stage2.block2.add", "stage3.block2.add", "stage4.block3.add")
    last += ("stage4.block6.add", "stage5.block4.add", "stage5.block5.project.norm")
    shapes = [description.row(f"stages.{path}").output_shape for path in last]
    sizes = ((16, 112), (24, 56), (40, 28), (80, 14), (112, 14), (192, 7), (320, 7))
    assert shapes == [(channels, side, side) for channels, side in sizes]
    assert description.row("stem.act").output_shape == (32, 112, 112)
    assert description.row("top.act").output_shape == (1280, 7, 7)


def _widths(network: Network) -> list[int]:
    """Return the channels of the feature maps."""
    description = describe(network, network.card.input)
    return [description.row(path).output_shape[0] for path in network.feature_maps.values()]


@pytest.mark.parametrize(("number", "phi"), [(1, 0.5), (2, 1), (3, 2)])
def test_the_factors_of_b1_to_b3_are_powers_of_the_papers_constants(number: int, phi: float) -> None:
    depth, width, side = round(1.2**phi, 1), round(1.1**phi, 1), 224 * 1.15**phi
    blocks = (1, 2, 2, 3, 3, 4, 1)
    network = _sketch(B[number])
    assert len(_blocks(network)) == sum(math.ceil(depth * count) for count in blocks)
    assert _widths(network)[-1] == 8 * round(width * 1280 / 8)
    assert MODELS[B[number]].card.input[1] == pytest.approx(side, rel=0.02)


def test_scaling_makes_b7_of_b0() -> None:
    """Widths times 2, numbers of blocks times 3.1 and rounded up: 4, 7, 7, 10, 10, 13 and 4."""
    network = _sketch("efficientnet_b7")
    assert _widths(network) == [64, 32, 48, 80, 224, 2560]
    assert len(_blocks(network)) == 4 + 7 + 7 + 10 + 10 + 13 + 4


def test_a_width_is_never_rounded_down_by_more_than_a_tenth() -> None:
    """16 · 1.2 = 19.2 is nearer to 16, but that is less than nine tenths of it. Version 2 has no such bound."""
    assert _widths(_sketch("efficientnet_b3"))[1] == 24
    assert _widths(_sketch("efficientnet_v2_b3"))[1] == 16


def test_the_input_sides_are_those_of_the_release() -> None:
    assert [MODELS[name].card.input[1] for name in B] == [224, 240, 260, 300, 380, 456, 528, 600]


def test_dropout_grows_from_a_fifth_to_a_half() -> None:
    rates = [module.p for name in B for module in _sketch(name).modules() if isinstance(module, nn.Dropout)]
    assert rates == [0.2, 0.2, 0.3, 0.3, 0.4, 0.4, 0.5, 0.5]


@pytest.mark.parametrize("name", ["efficientnet_b0", "efficientnet_v2_s"])
def test_later_blocks_are_dropped_more_often(name: str) -> None:
    blocks = _blocks(_sketch(name))
    for number, block in enumerate(blocks):
        if block.residual:
            drop = block.get_submodule("drop")
            assert isinstance(drop, StochasticDepth)
            assert drop.rate == pytest.approx(0.2 * number / len(blocks))


@pytest.mark.parametrize("name", ["efficientnet_b0", "efficientnet_v2_b0", "efficientnet_v2_s"])
def test_norms_and_gates_are_as_stated(name: str) -> None:
    network = _sketch(name)
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    assert {(norm.eps, norm.momentum) for norm in norms} == {(1e-3, 0.01)}
    for block in _blocks(network):
        gates = [module for module in block.modules() if isinstance(module, SqueezeExcitation)]
        assert len(gates) == isinstance(block, MBConv)
        for gate in gates:
            first = next(module for module in block.modules() if isinstance(module, nn.Conv2d))
            assert gate.reduce.out_channels == first.in_channels // 4


def test_only_early_blocks_of_version_2_are_fused() -> None:
    """S has 2, 4 and 4 fused blocks, then 6, 9 and 15 others (table 4)."""
    kinds = [type(block) for block in _blocks(_sketch("efficientnet_v2_s"))]
    assert kinds == [FusedMBConv] * 10 + [MBConv] * 30


def test_first_weights_are_spread_by_the_fan_out() -> None:
    network = create_model("efficientnet_b0", classes=100, size=(32, 32), seed=0)
    expected = {
        "stages.stage4.block6.expand.conv": math.sqrt(2 / 672),  # 1×1, to 672 channels
        "stages.stage4.block6.depthwise.conv": math.sqrt(2 / 25),  # 5×5, each channel by itself
        "stages.stage4.block6.gate.expand": math.sqrt(2 / 672),
        "top.conv": math.sqrt(2 / 1280),
    }
    for path, deviation in expected.items():
        weight = network.get_submodule(path).get_parameter("weight")
        assert float(weight.detach().std()) == pytest.approx(deviation, rel=0.05), path
    last = network.get_parameter("fc.weight").detach().abs()
    assert 0.0999 < float(last.max()) <= 0.1
    assert torch.equal(network.get_parameter("fc.bias").detach(), torch.zeros(100))
