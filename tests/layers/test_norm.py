"""Normalisations and gates against loops that spell out their papers' equations."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from reference import normalization as slow
from striate.layers import GlobalAveragePool, LayerNorm2d, LocalResponseNorm, SqueezeExcitation


def _random(*shape: int, seed: int = 3) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("channels", [1, 2, 4, 5, 9])
def test_local_response_is_the_papers_sum(channels: int) -> None:
    x = 20 * _random(2, channels, 3, 2)  # large enough for the sum to matter in addition to k
    expected = [torch.from_numpy(slow.local_response(picture.numpy(), 5, 1e-4, 0.75, 2.0)) for picture in x]
    torch.testing.assert_close(LocalResponseNorm()(x), torch.stack(expected))


def test_local_response_by_hand() -> None:
    """Three channels of 1, 2 and 3; neighbours one to each side: sums of squares 5, 14 and 13."""
    x = torch.tensor([1.0, 2.0, 3.0]).reshape(1, 3, 1, 1)
    result = LocalResponseNorm(3, alpha=1.0, beta=1.0, k=1.0)(x)
    torch.testing.assert_close(result.flatten(), torch.tensor([1 / 6, 2 / 15, 3 / 14]))


def test_torchs_alpha_is_ours_times_the_window() -> None:
    x = 20 * _random(1, 8, 3, 3)
    torch.testing.assert_close(LocalResponseNorm()(x), nn.LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2.0)(x))


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_layer_norm_takes_each_positions_channels_by_themselves(layout: torch.memory_format) -> None:
    x = _random(2, 5, 3, 4).contiguous(memory_format=layout)
    norm = LayerNorm2d(5).double()
    nn.init.normal_(norm.weight, generator=torch.Generator().manual_seed(0))
    nn.init.normal_(norm.bias, generator=torch.Generator().manual_seed(1))
    scale, shift = norm.weight.detach().numpy(), norm.bias.detach().numpy()
    expected = [torch.from_numpy(slow.layer(picture.numpy(), scale, shift, 1e-6)) for picture in x]
    torch.testing.assert_close(norm(x).detach(), torch.stack(expected))


def _numbers(layer: nn.Conv2d) -> tuple[np.ndarray, np.ndarray]:
    """Weight (out, in) and bias of a 1×1 convolution."""
    assert layer.bias is not None
    return layer.weight.detach()[:, :, 0, 0].numpy(), layer.bias.detach().numpy()


def test_a_channel_is_multiplied_by_what_all_channels_means_say_of_it() -> None:
    gate = SqueezeExcitation(6, 3).double()
    x = _random(2, 6, 3, 4)
    layers = _numbers(gate.reduce), _numbers(gate.expand)
    expected = [torch.from_numpy(slow.squeeze_and_excite(picture.numpy(), *layers)) for picture in x]
    torch.testing.assert_close(gate(x).detach(), torch.stack(expected))


def test_the_gates_activations_are_modules_of_the_given_kind() -> None:
    gate = SqueezeExcitation(4, 2, nn.SiLU, nn.Hardsigmoid)
    assert isinstance(gate.activation, nn.SiLU)
    assert isinstance(gate.gate, nn.Hardsigmoid)
    with torch.no_grad():
        gate.expand.weight.zero_()
        gate.expand.bias.fill_(9.0)  # pyright: ignore[reportOptionalMemberAccess]
    x = torch.randn(2, 4, 3, 3)
    assert torch.equal(gate(x), x)  # a hard sigmoid is open at 9, and fully


@pytest.mark.parametrize("size", [(5,), (2, 3), (2, 3, 4)])
def test_the_global_average_is_each_channels_mean_in_any_number_of_dimensions(size: tuple[int, ...]) -> None:
    x = _random(2, 3, *size)
    torch.testing.assert_close(GlobalAveragePool()(x), x.flatten(2).mean(dim=2))


@pytest.mark.parametrize(
    "layer", [LocalResponseNorm(3, alpha=0.1), LayerNorm2d(4), SqueezeExcitation(4, 2, nn.SiLU), GlobalAveragePool()]
)
def test_gradients_are_those_of_small_changes(layer: nn.Module) -> None:
    assert torch.autograd.gradcheck(layer.double(), (_random(2, 4, 2, 3).requires_grad_(),))
