"""The rules against what is known otherwise: by hand, by a written-out reference, by Captum."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
import pytest
import torch
from captum.attr import Deconvolution, GuidedBackprop
from torch import Tensor, nn
from torch.nn import functional as F

from reference import backward_rules
from striate.hooks import DECONVNET, GUIDED, Rule, rewrite

RULES = pytest.mark.parametrize("rule", [DECONVNET, GUIDED], ids=lambda rule: rule.name)


def gradient_by(rule: Rule, model: nn.Module, images: Tensor, unit: int = 0) -> Tensor:
    images = images.detach().requires_grad_()
    with rewrite(model, rule):
        (gradient,) = torch.autograd.grad(model(images)[:, unit].sum(), images)
    return gradient


@pytest.mark.parametrize(("rule", "expected"), [(DECONVNET, [5.0, 4.0]), (GUIDED, [1.0, 4.0])])
def test_a_net_of_three_units_gives_what_the_hand_does(rule: Rule, expected: list[float]) -> None:
    # x = (1, 2), and four units, the second of which sleeps: x1 = 1, x1 - 2 = -1, x1 + x2 = 3, x2 = 2.
    # To them comes from the score, by its weights: 1, 4, -1, 4.
    #   deconvnet drops the negative one:             1·(1,0) + 4·(1,0) + 4·(0,1) = (5, 4)
    #   guided also what comes to the sleeping unit:  1·(1,0) + 4·(0,1)           = (1, 4)
    below, above = nn.Linear(2, 4), nn.Linear(4, 1)
    with torch.no_grad():
        below.weight.copy_(torch.tensor([[1.0, 0], [1, 0], [1, 1], [0, 1]]))
        below.bias.copy_(torch.tensor([0.0, -2, 0, 0]))
        above.weight.copy_(torch.tensor([[1.0, 4, -1, 4]]))
    net = nn.Sequential(below, nn.ReLU(), above)
    assert gradient_by(rule, net, torch.tensor([[1.0, 2.0]])).tolist() == [expected]


@RULES
@pytest.mark.parametrize("stride", [2, 1], ids=["apart", "overlapping"])
def test_a_small_convolutional_net_agrees_with_the_written_out_reference(rule: Rule, stride: int) -> None:
    torch.manual_seed(8)
    net = nn.Sequential(
        nn.Conv2d(2, 4, 3), nn.ReLU(), nn.MaxPool2d(2, stride), nn.Conv2d(4, 5, 2), nn.ReLU(), nn.Flatten(),
        nn.LazyLinear(9), nn.ReLU(), nn.Linear(9, 2),
    ).double()  # fmt: skip
    images = torch.randn(3, 2, 8, 8, dtype=torch.float64)
    net(images)
    layers: list[backward_rules.Layer] = []
    for module in net:
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            word = "conv" if isinstance(module, nn.Conv2d) else "dense"
            assert module.bias is not None
            layers.append((word, module.weight.detach().numpy(), module.bias.detach().numpy()))
        elif isinstance(module, nn.ReLU):
            layers.append(("relu",))
        elif isinstance(module, nn.MaxPool2d):
            layers.append(("pool", 2, stride))
    gated = rule is GUIDED
    expected = [backward_rules.explain(layers, image.numpy(), 1, guided=gated) for image in images]
    ours = gradient_by(rule, net, images, unit=1).numpy()
    assert np.abs(ours).max() > 0
    np.testing.assert_allclose(ours, np.stack(expected), rtol=1e-10, atol=1e-12)


@RULES
def test_a_net_of_modules_agrees_with_captum(rule: Rule) -> None:
    torch.manual_seed(5)
    net = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(3, 2), nn.Conv2d(8, 8, 3), nn.ReLU(),
        nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(32, 6), nn.ReLU(), nn.Linear(6, 4),
    ).eval()  # fmt: skip
    images = torch.randn(4, 3, 16, 16)
    judge = (GuidedBackprop if rule is GUIDED else Deconvolution)(net)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Captum says aloud that it sets hooks
        expected = judge.attribute(images.clone().requires_grad_(), target=2)
    torch.testing.assert_close(gradient_by(rule, net, images, unit=2), expected, rtol=1e-5, atol=1e-7)


# Each listed operation, with where it is active.
LISTED: dict[str, tuple[str, Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]] = {
    "F.relu": ("relu", F.relu, lambda a: a > 0),
    "F.relu_": ("relu", lambda a: F.relu_(a * 1), lambda a: a > 0),
    "Tensor.relu_": ("relu", lambda a: (a * 1).relu_(), lambda a: a > 0),
    "nn.ReLU in place": ("relu", lambda a: nn.ReLU(inplace=True)(a * 1), lambda a: a > 0),
    "nn.ReLU6": ("relu6", nn.ReLU6(), lambda a: (a > 0) & (a < 6)),
    "F.relu6 in place": ("relu6", lambda a: F.relu6(a * 1, inplace=True), lambda a: (a > 0) & (a < 6)),
    "hardtanh": ("hardtanh", F.hardtanh, lambda a: (a > -1) & (a < 1)),
    "hardtanh_": ("hardtanh", lambda a: F.hardtanh_(a * 1, 0, 3), lambda a: (a > 0) & (a < 3)),
    "threshold": ("threshold", lambda a: F.threshold(a, 0, 0), lambda a: a > 0),
    "threshold_": ("threshold", lambda a: torch.threshold_(a * 1, 0, 0), lambda a: a > 0),
    "clamp": ("clamp", lambda a: a.clamp(min=0), lambda a: a > 0),
    "clamp with a ceiling": ("clamp", lambda a: torch.clamp(a, 0, 2), lambda a: (a > 0) & (a < 2)),
    "clamp by a tensor": ("clamp", lambda a: a.clamp(min=torch.zeros(())), lambda a: a > 0),
    "clamp_": ("clamp", lambda a: (a * 1).clamp_(min=0), lambda a: a > 0),
    "clamp_min": ("clamp", lambda a: a.clamp_min(0), lambda a: a > 0),
    "maximum": ("maximum", lambda a: torch.maximum(a, torch.zeros(())), lambda a: a > 0),
    "maximum, turned round": ("maximum", lambda a: torch.maximum(torch.zeros_like(a), a), lambda a: a > 0),
    "maximum with more": ("maximum", lambda a: torch.maximum(a, torch.zeros(2, 1, 1)), lambda a: a > 0),
    "max": ("maximum", lambda a: torch.max(a, torch.zeros_like(a)), lambda a: a > 0),
    "leaky": ("leaky_relu", F.leaky_relu, lambda a: a > 0),
    "leaky_": ("leaky_relu", lambda a: F.leaky_relu_(a * 1), lambda a: a > 0),
    "elu": ("elu", F.elu, lambda a: a > 0),
    "elu_": ("elu", lambda a: F.elu_(a * 1), lambda a: a > 0),
    "selu": ("elu", F.selu, lambda a: a > 0),
    "silu": ("silu", F.silu, lambda a: a > 0),
    "silu in place": ("silu", lambda a: F.silu(a * 1, inplace=True), lambda a: a > 0),
    "gelu": ("gelu", F.gelu, lambda a: a > 0),
    "gelu by tanh": ("gelu", lambda a: F.gelu(a, approximate="tanh"), lambda a: a > 0),
}


class Applied(nn.Module):
    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, a: Tensor) -> Tensor:
        return self.function(a)


@RULES
@pytest.mark.parametrize("spelling", list(LISTED))
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["float32", "bf16"])
def test_every_listed_operation_follows_the_rule_and_is_counted(rule: Rule, spelling: str, dtype: torch.dtype) -> None:
    name, function, active = LISTED[spelling]
    torch.manual_seed(1)
    a = (3 * torch.randn(2, 5, 7)).to(dtype)
    a[0, 0, :3] = 0  # a ReLU's unit is not active at zero, though clamp's and maximum's own gradients pass there
    model = Applied(function)
    arriving = torch.randn_like(model(a))
    a.requires_grad_()
    with rewrite(model, rule) as rewritten:
        (gradient,) = torch.autograd.grad(model(a), a, arriving)
    passed = arriving.clamp(min=0) * (active(a) if rule is GUIDED else 1)
    assert gradient.dtype == dtype
    assert torch.equal(gradient, passed.sum_to_size(a.shape).to(dtype))
    assert dict(rewritten.counts) == {name: 1}
    assert not rewritten.unruled


POOLS: dict[str, tuple[str, Callable[[Tensor], Tensor]]] = {
    "1d": ("max_pool2d", lambda x: F.max_pool1d(x.flatten(2), 3, 2)),
    "2d": ("max_pool2d", nn.MaxPool2d(3, 2)),
    "2d with indices": ("max_pool2d", lambda x: F.max_pool2d(x, 2, return_indices=True)[0]),
    "3d": ("max_pool3d", lambda x: F.max_pool3d(x[:, None], 2)),
    "adaptive 1d": ("adaptive_max_pool2d", lambda x: F.adaptive_max_pool1d(x.flatten(2), 5)),
    "adaptive 2d": ("adaptive_max_pool2d", nn.AdaptiveMaxPool2d(3)),
    "adaptive 3d": ("adaptive_max_pool3d", lambda x: F.adaptive_max_pool3d(x[:, None], 2)),
}


@pytest.mark.parametrize("spelling", list(POOLS))
def test_max_pooling_passes_by_its_switches_and_is_counted(spelling: str) -> None:
    name, pool = POOLS[spelling]
    torch.manual_seed(2)
    x = torch.rand(2, 3, 8, 8, requires_grad=True)
    model = nn.Sequential(Applied(pool), nn.ReLU())
    (plain,) = torch.autograd.grad(model(x).sum(), x)
    with rewrite(model, GUIDED) as rewritten:
        (gradient,) = torch.autograd.grad(model(x).sum(), x)
    assert torch.equal(gradient, plain)  # nothing arrives that is negative, and all values are positive
    assert dict(rewritten.counts) == {"relu": 1, name: 1}
    assert not rewritten.unruled
