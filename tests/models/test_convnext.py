"""ConvNeXt against its paper."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from striate.layers import LayerScale, StochasticDepth
from striate.models import meta_model
from striate.models.families.convnext import Block, ConvNeXt
from striate.tracing import describe


@pytest.mark.parametrize(
    ("name", "widths", "blocks", "rate"),
    [
        ("convnext_tiny", (96, 192, 384, 768), (3, 3, 9, 3), 0.1),
        ("convnext_small", (96, 192, 384, 768), (3, 3, 27, 3), 0.4),
        ("convnext_base", (128, 256, 512, 1024), (3, 3, 27, 3), 0.5),
        ("convnext_large", (192, 384, 768, 1536), (3, 3, 27, 3), 0.5),
    ],
)
def test_variants_are_those_of_section_3(
    name: str, widths: tuple[int, ...], blocks: tuple[int, ...], rate: float
) -> None:
    network = meta_model(name, classes=1000, size=(224, 224))
    description = describe(network, (3, 224, 224))
    for number, (width, count, side) in enumerate(zip(widths, blocks, (56, 28, 14, 7), strict=True), start=1):
        stage = network.get_submodule(f"stages.stage{number}")
        assert sum(isinstance(module, Block) for module in stage.children()) == count
        assert description.row(f"stages.stage{number}.block{count}.add").output_shape == (width, side, side)
    rates = [module.rate for module in network.modules() if isinstance(module, StochasticDepth)]
    assert rates == pytest.approx([rate * number / (sum(blocks) - 1) for number in range(sum(blocks))])


def test_first_weights_are_those_of_the_appendix() -> None:
    network = ConvNeXt(3, 10, widths=(24, 48, 96, 192), blocks=(1, 1, 3, 1), drop=0.1)
    for module in network.modules():
        if isinstance(module, LayerScale):
            assert torch.equal(module.weight.detach(), torch.full_like(module.weight, 1e-6))
        elif isinstance(module, (nn.Conv2d, nn.Linear)):
            weight = module.weight.detach()
            assert float(weight.abs().max()) <= 0.04
            assert float(weight.std()) == pytest.approx(0.88 * 0.02, rel=0.1)
            assert module.bias is not None
            assert not module.bias.detach().any()


def test_a_new_block_is_almost_its_shortcut() -> None:
    block = Block(8, drop=0.0)
    pictures = torch.randn(2, 8, 9, 9)
    with torch.no_grad():
        torch.testing.assert_close(block(pictures), pictures, rtol=0, atol=1e-5)
