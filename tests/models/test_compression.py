"""Weights are pruned by magnitude, and share the values that k-means finds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from reference import compression as reference
from striate.core.errors import ConfigError
from striate.models.compression import cluster, compressible, prune, share


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(400, 50), nn.Linear(50, 3))


def kept(model: nn.Module) -> list[float]:
    return [float((layer.weight != 0).float().mean()) for layer in compressible(model).values()]


def test_the_largest_weights_of_each_layer_stay() -> None:
    model, before = network(), network()
    prune(model, 0.1)
    total = sum(layer.weight.numel() for layer in compressible(model).values())
    left = sum(int((layer.weight != 0).sum()) for layer in compressible(model).values())
    assert left == round(0.1 * total)
    assert kept(model)[0] > 0.5 > 0.2 > kept(model)[1]  # small layers keep more
    for layer, was in zip(compressible(model).values(), compressible(before).values(), strict=True):
        stays = layer.weight != 0
        assert torch.equal(layer.weight[stays], was.weight[stays])
        assert was.weight[~stays].abs().max() <= was.weight[stays].abs().min()
    assert torch.equal(model.get_parameter("1.weight"), before.get_parameter("1.weight"))
    assert all(not (layer.weight.signbit() & (layer.weight == 0)).any() for layer in compressible(model).values())


@pytest.mark.parametrize(
    "form", [{"memory_format": torch.channels_last}, {"dtype": torch.float64}, {"dtype": torch.bfloat16}], ids=str
)
def test_weights_of_any_type_and_order_are_compressed(form: dict[str, Any]) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(16, 9)).to(**form)
    plain = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(16, 9))
    plain.load_state_dict(model.state_dict())  # in contiguous float32
    for each in (model, plain):
        prune(each, 0.4)
        share(each, 3, 2)
    for layer, expected in zip(compressible(model).values(), compressible(plain).values(), strict=True):
        torch.testing.assert_close(layer.weight, expected.weight.to(layer.weight.dtype), rtol=1e-6, atol=0)


def test_a_network_without_weights_to_prune_is_refused() -> None:
    with pytest.raises(ConfigError, match="no weights to prune"):
        prune(nn.Sequential(nn.ReLU()), 0.5)


def test_layers_have_fractions_of_their_own() -> None:
    model = network()
    prune(model, {"0": 0.5, "3": 0.1})
    assert kept(model) == pytest.approx([0.5, 0.1, 1.0])
    for wrong, said in (
        ({"5": 0.5}, "no convolution or linear layer '5'"),
        (0.0, "above 0"),
        ({"0": 1.5}, "at most 1"),
    ):
        with pytest.raises(ConfigError, match=said):
            prune(model, wrong)


@pytest.mark.parametrize("count", [1, 2, 7, 15])
def test_clusters_are_those_of_slow_k_means(count: int) -> None:
    values = np.concatenate([np.random.default_rng(count).normal(size=300), [4.0, 4.0]])
    means, members = cluster(values, count)
    expected, nearest = reference.k_means(values, count)
    np.testing.assert_allclose(means[members], expected[nearest], atol=1e-12)
    assert len(np.unique(members)) == len(means) <= count


def test_weights_share_as_many_values_as_their_bits_number() -> None:
    model = network()
    prune(model, 0.3)
    before = kept(model)
    share(model, 2, 4)  # clusters around zero, where weights are pruned, are empty
    assert [len(layer.weight.unique()) for layer in compressible(model).values()] == [15, 3, 4]
    assert kept(model) == before
