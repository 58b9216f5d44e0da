"""The health of layers, against what a person works out, on networks whose health is known."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import striate
from striate.core.errors import ConfigError, ModelError
from striate.diagnosing import layer_health

BATCH = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, -1.0]])
TARGETS = torch.tensor([0, 1, 0])


def loss_of(network: nn.Module) -> Tensor:
    return F.cross_entropy(network(BATCH), TARGETS)


def linear(rows: list[list[float]], bias: list[float]) -> nn.Linear:
    layer = nn.Linear(len(rows[0]), len(rows))
    layer.weight.data, layer.bias.data = torch.tensor(rows), torch.tensor(bias)
    return layer


class Functional(nn.Module):
    """The same layers with a function of torch in place of a module."""

    def __init__(self, first: nn.Module, last: nn.Module, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.first, self.last, self.function = first, last, function

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.function(self.first(x)))


@pytest.mark.parametrize("spelling", ["module", "in place", "function", "method"])
def test_dead_units_are_those_that_no_image_excites(spelling: str) -> None:
    first = linear([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [1.0, 1.0]], [0.0, 0.0, -2.0, -5.0])
    last = linear([[1.0, 1.0, 1.0, 1.0], [0.5, -1.0, 0.0, 2.0]], [0.0, 0.0])
    functions = {"function": F.relu, "method": lambda x: x.relu_()}
    modules = {"module": nn.ReLU(), "in place": nn.ReLU(inplace=True)}
    if spelling in modules:
        network: nn.Module = nn.Sequential(first, modules[spelling], last)
    else:
        network = Functional(first, last, functions[spelling])
    found, end = layer_health(network, loss_of)
    assert (found.activation, found.units, found.dead, found.saturated) == ("relu", 4, 0.5, None)
    outputs = first(BATCH)
    assert found.mean == pytest.approx(outputs.mean().item())
    assert found.std == pytest.approx(outputs.std(correction=0).item())
    assert (end.activation, end.dead) == (None, None)


@pytest.mark.parametrize(("function", "steep"), [(nn.Sigmoid(), 4.4), (nn.Tanh(), 2.2)], ids=["sigmoid", "tanh"])
def test_saturated_outputs_are_those_where_the_slope_is_small(function: nn.Module, steep: float) -> None:
    """The slope is 5 % of the steepest at 4.36 (sigmoid) and 2.18 (tanh)."""
    first = linear([[1.0, 0.0]], [0.0])
    first.weight.data *= steep
    found, _ = layer_health(nn.Sequential(first, function, nn.Linear(1, 2)), loss_of)
    assert (found.dead, found.saturated) == (0.0, pytest.approx(2 / 3))
    first.weight.data *= 0.95
    assert layer_health(nn.Sequential(first, function, nn.Linear(1, 2)), loss_of)[0].saturated == 0.0


def test_gradients_are_those_of_autograd() -> None:
    first, last = nn.Linear(2, 5), nn.Linear(5, 3)
    network = nn.Sequential(first, nn.Tanh(), last)
    loss_of(network).backward()
    outputs = first(BATCH).detach().requires_grad_()
    loss = F.cross_entropy(last(torch.tanh(outputs)), TARGETS)
    (signal,) = torch.autograd.grad(loss, outputs)
    found = layer_health(network, loss_of, updates={"0": 0.25})
    weights = [first.weight, last.weight]
    expected = [weight.grad.norm().item() for weight in weights if weight.grad is not None]
    assert [layer.gradient for layer in found] == pytest.approx(expected, rel=1e-5)
    assert found[0].signal == pytest.approx(signal.norm().item(), rel=1e-5)
    assert [layer.weight for layer in found] == pytest.approx([weight.norm().item() for weight in weights])
    assert [layer.update for layer in found] == [0.25, None]


def test_channels_are_units_of_maps_and_gates_are_no_activations() -> None:
    class Gated(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.gate, self.head = nn.Conv2d(1, 4, 3), nn.Conv2d(4, 4, 1), nn.Linear(4, 2)
            self.conv.bias.data = torch.tensor([9.0, 9.0, -9.0, -9.0])  # pyright: ignore[reportOptionalMemberAccess]

        def forward(self, x: Tensor) -> Tensor:
            x = self.conv(x).relu()
            x = x * torch.sigmoid(100 * self.gate(x.mean((2, 3), keepdim=True)))
            return self.head(x.mean((2, 3)))

    images = torch.rand(3, 1, 6, 6)
    conv, gate, _ = layer_health(Gated(), lambda network: F.cross_entropy(network(images), TARGETS))
    assert (conv.units, conv.dead) == (4, 0.5)
    assert (gate.activation, gate.saturated) == (None, None)


class Permuted(nn.Module):
    """`layer` on maps whose dimensions are in the order `there`; they come back in the order `back`."""

    def __init__(self, layer: nn.Module, there: tuple[int, ...], back: tuple[int, ...]) -> None:
        super().__init__()
        self.layer, self.there, self.back = layer, there, back

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x.permute(self.there)).permute(self.back)


@pytest.mark.parametrize(
    ("layer", "size"),
    [
        (nn.Linear(3, 8), (3,)),
        (nn.Linear(3, 8), (5, 3)),
        (nn.Linear(3, 8), (6, 5, 3)),
        (nn.Conv1d(3, 8, 3, padding=1), (3, 9)),
        (nn.Conv2d(3, 8, 3, padding=1), (3, 6, 5)),
        (nn.Conv3d(3, 8, 3, padding=1), (3, 4, 6, 5)),
        (nn.ConvTranspose2d(3, 8, 3, padding=1), (3, 6, 5)),
        (Permuted(nn.Linear(3, 8), (0, 2, 3, 1), (0, 3, 1, 2)), (3, 6, 5)),
    ],
    ids=["vectors", "tokens", "channels last", "1 d", "2 d", "3 d", "transposed", "permuted before the function"],
)
def test_units_are_the_channels_of_any_layout(layer: Any, size: tuple[int, ...]) -> None:
    """Six of eight channels are far below zero for every image."""
    inner = layer.layer if isinstance(layer, Permuted) else layer
    inner.bias.data = torch.tensor([9.0, 9.0, *[-99.0] * 6])
    outputs = torch.zeros(3, *size)
    width = layer(outputs)[0].numel()
    network = nn.Sequential(layer, nn.ReLU(), nn.Flatten(), nn.Linear(width, 2))
    found = layer_health(network, lambda network: F.cross_entropy(network(torch.randn(3, *size)), TARGETS))[0]
    assert (found.units, found.dead) == (8, 0.75)


@pytest.mark.parametrize(
    ("function", "flat"),
    [
        (nn.Hardtanh(-3, 3), lambda x: x.abs() >= 3),
        (lambda x: F.hardtanh(x, max_val=2.0), lambda x: (x <= -1) | (x >= 2)),
        (F.hardtanh, lambda x: x.abs() >= 1),
        (nn.ELU(0.5), lambda x: (x < 0) & (0.5 * x.exp() < 0.05)),
        (nn.ELU(2.0), lambda x: (x < 0) & (2 * x.exp() < 0.1)),
        (nn.Softplus(5.0), lambda x: x.mul(5).sigmoid() < 0.05),
    ],
    ids=["hardtanh of 3", "hardtanh to 2", "hardtanh", "elu of 0.5", "elu of 2", "softplus of 5"],
)
def test_the_options_of_a_function_decide_where_it_is_flat(
    function: Callable[[Tensor], Tensor], flat: Callable[[Tensor], Tensor]
) -> None:
    """A unit for each input value, dead where the slope at this value is below 5 % of the steepest."""
    values = torch.arange(-41, 42) / 10 + 0.003
    first = nn.Linear(1, len(values))
    first.weight.data.zero_()
    first.bias.data = values.clone()
    network = Functional(first, nn.Linear(len(values), 2), function)
    found = layer_health(network, lambda network: F.cross_entropy(network(torch.ones(3, 1)), TARGETS))[0]
    assert found.dead == pytest.approx(flat(values).float().mean().item())


def test_the_network_is_left_as_found() -> None:
    network = nn.Sequential(nn.Linear(2, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Dropout(), nn.Linear(4, 2)).train()
    network[4].eval()
    network[0].weight.requires_grad_(False)
    network[4].weight.grad = torch.ones(2, 4)
    state = {name: value.clone() for name, value in network.state_dict().items()}
    random = torch.get_rng_state()
    first = layer_health(network, loss_of)
    assert torch.equal(random, torch.get_rng_state())
    assert all(torch.equal(value, state[name]) for name, value in network.state_dict().items())
    assert [module.training for module in network] == [True, True, True, True, False]
    assert [parameter.requires_grad for parameter in network.parameters()] == [False, *[True] * 5]
    assert torch.equal(network[4].weight.grad, torch.ones(2, 4))
    assert network[0].weight.grad is None
    assert not any(module._forward_hooks for module in network.modules())
    assert layer_health(network, loss_of) == first


def test_what_cannot_be_measured_is_refused_in_a_sentence() -> None:
    with pytest.raises(ModelError, match="no convolution and no linear layer"):
        layer_health(nn.Sequential(nn.ReLU()), loss_of)
    with pytest.raises(ModelError, match="the loss must call the network that it receives"):
        layer_health(nn.Linear(2, 2), lambda network: next(network.parameters()).sum())


class _Frozen(nn.Module):
    """A network that trains its last two layers alone."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone, self.body, self.head = nn.Linear(2, 4), nn.Linear(4, 4), nn.Linear(4, 2)

    def forward(self, images: Tensor) -> Tensor:
        with torch.no_grad():
            features = self.backbone(images).relu()
        return self.head(self.body(features).relu())


def test_a_backbone_under_no_grad_has_no_vanishing_gradient() -> None:
    found = striate.diagnose(_Frozen(), images=torch.rand(8, 2), targets=torch.zeros(8, dtype=torch.int64))
    assert [layer.signal is None for layer in found.layers] == [True, False, False]
    (gradients,) = [verdict for verdict in found.verdicts if verdict.subject == "gradients"]
    assert gradients.evidence.startswith("the gradient at body is")
    assert "no gradient can reach 1 of 3 layers" in gradients.evidence
    assert not gradients.fault


@pytest.mark.parametrize(
    ("loss", "found"), [(0.5, "it returned float"), (torch.zeros(3), r"it returned a tensor \(3,\)")]
)
def test_a_loss_that_is_not_one_number_is_a_sentence(loss: Any, found: str) -> None:
    with pytest.raises(ModelError, match=f"must return a tensor of one number.*{found}"):
        striate.diagnose(nn.Linear(2, 2), images=torch.rand(3, 2), targets=torch.zeros(3), loss=lambda *_: loss)


def test_values_that_are_not_finite_are_measured_too() -> None:
    first = nn.Linear(2, 2)
    first.weight.data.fill_(math.inf)
    network = nn.Sequential(first, nn.ReLU(), nn.Linear(2, 2))
    assert not math.isfinite(layer_health(network, loss_of)[0].std)


@pytest.mark.parametrize(
    ("images", "targets", "error", "sentence"),
    [
        (torch.zeros(0, 2), torch.zeros(0, dtype=torch.int64), ConfigError, "at least one image, all of finite values"),
        (torch.full((3, 2), math.nan), torch.zeros(3, dtype=torch.int64), ConfigError, "all of finite values"),
        (torch.zeros(3, 2), torch.tensor([0, 1, 5]), ModelError, "fails on these images and targets: Target 5 is out"),
        (torch.zeros(3, 7), torch.zeros(3, dtype=torch.int64), ModelError, "fails on these images and targets: mat1"),
    ],
    ids=["no image", "not finite", "no such class", "another size"],
)
def test_a_batch_that_cannot_be_judged_is_a_sentence(
    images: Tensor, targets: Tensor, error: type[Exception], sentence: str
) -> None:
    with pytest.raises(error, match=sentence):
        striate.diagnose(nn.Linear(2, 2), images=images, targets=targets)
