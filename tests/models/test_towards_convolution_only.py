"""Network in network, the all-convolutional net and highway networks against the numbers of their papers."""

from __future__ import annotations

import math

import pytest
import torch

from striate.models import create_model, meta_model
from striate.models.families.highway import Highway
from striate.tracing import describe


def _shapes(name: str, size: tuple[int, int], classes: int) -> dict[str, tuple[int, ...]]:
    description = describe(meta_model(name, classes=classes, size=size), (3, *size))
    return {row.path.removeprefix("features."): row.output_shape for row in description.rows}


def test_network_in_network_ends_in_a_map_for_each_class() -> None:
    shapes = _shapes("nin", (32, 32), 10)
    assert [shapes[f"mlpconv{i}.relu3"] for i in (1, 2, 3)] == [(96, 32, 32), (192, 16, 16), (10, 8, 8)]
    shapes = _shapes("nin_imagenet", (224, 224), 1000)
    assert [shapes[f"mlpconv{i}.relu3"] for i in (1, 2, 3, 4)] == [
        (96, 54, 54),
        (256, 27, 27),
        (384, 13, 13),
        (1000, 6, 6),
    ]


def test_a_logit_is_the_mean_of_its_map() -> None:
    network = create_model("nin", classes=4, size=(12, 10), seed=1).double().eval()
    pictures = torch.randn(2, 3, 12, 10, dtype=torch.float64)
    maps = network.get_submodule("features")(pictures)
    torch.testing.assert_close(network(pictures), maps.sum(dim=(2, 3)) / math.prod(maps.shape[2:]))


@pytest.mark.parametrize("name", [f"{kind}_cnn_{model}" for kind in ("all", "strided") for model in "abc"])
def test_the_all_convolutional_net_averages_over_6_by_6(name: str) -> None:
    description = describe(meta_model(name, classes=10, size=(32, 32)), (3, 32, 32))
    assert description.row("features.conv5").output_shape == (10, 6, 6)
    assert not [row.path for row in description.rows if "Pool" in row.kind and row.path != "pool"]
    halved = [row for row in description.rows if row.kind == "Conv2d" and "/2" in row.detail]
    assert [row.output_shape[1:] for row in halved] == [(16, 16), (8, 8)]


def test_the_all_convolutional_nets_are_made_of_table_1() -> None:
    """Model C by hand: 3×3 filters, 3-96-96-96 and 96-192-192-192, then 3×3, 1×1 and 1×1."""
    first = 96 * (9 * 3 + 1) + 2 * 96 * (9 * 96 + 1)
    second = 192 * (9 * 96 + 1) + 2 * 192 * (9 * 192 + 1)
    last = 192 * (9 * 192 + 1) + 192 * (192 + 1) + 10 * (192 + 1)
    all_c = meta_model("all_cnn_c", classes=10, size=(32, 32))
    strided_c = meta_model("strided_cnn_c", classes=10, size=(32, 32))
    assert _count(all_c) == first + second + last == 1_369_738
    assert _count(strided_c) == _count(all_c) - 96 * (9 * 96 + 1) - 192 * (9 * 192 + 1)


def _count(network: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def test_a_highway_layer_mixes_what_it_makes_with_what_it_is_given() -> None:
    torch.manual_seed(0)
    layer, x = Highway(3).double(), torch.randn(2, 3, 5, 4, dtype=torch.float64)
    transform = torch.conv2d(x, layer.transform.weight, layer.transform.bias, padding=1).clamp_min(0)
    gate = 1 / (1 + torch.exp(-torch.conv2d(x, layer.gate.weight, layer.gate.bias, padding=1)))
    torch.testing.assert_close(layer(x), transform * gate + x * (1 - gate))
    layer.gate.get_parameter("bias").data.fill_(-1000.0)
    assert torch.equal(layer(x), x)


@pytest.mark.parametrize(("name", "highways"), [("highway11", 6), ("highway19", 14)])
def test_at_first_highways_let_most_of_their_input_through(name: str, highways: int) -> None:
    network = create_model(name, classes=10, size=(8, 8), seed=1)
    layers = [layer for layer in network.modules() if isinstance(layer, Highway)]
    assert len(layers) == highways
    for layer in layers:
        assert set(layer.gate.get_parameter("bias").tolist()) == {-2.0}
        assert set(layer.transform.get_parameter("bias").tolist()) == {0.0}
