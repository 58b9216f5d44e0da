"""What every registered optimizer promises: its paper's rule, decay on weights only, and a state that can be kept."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn, optim

import striate
from reference import optimizers as reference
from rehearsal.small import MadeBatches, make_model, make_state
from striate.core.config import from_json
from striate.core.device import ExecutionPlan, Layout
from striate.core.errors import ConfigError
from striate.models import build_model
from striate.training import step
from striate.training.optimizers import LAMB, OPTIMIZERS, Adadelta, LayerRate, Muon, OptimizerSettings, split_parameters

OPTIONS: dict[str, list[dict[str, Any]]] = {
    "sgd": [{}, {"momentum": 0.5}, {"momentum": 0.8, "nesterov": True}],
    "adam": [{}, {"betas": (0.7, 0.9), "epsilon": 1e-3}],
    "adamw": [{}, {"betas": (0.7, 0.9), "epsilon": 1e-3}],
    "adagrad": [{}, {"epsilon": 0.1}],
    "adadelta": [{}, {"rho": 0.7, "epsilon": 0.01}],
    "sam": [{}, {"momentum": 0.5}, {"nesterov": True}],
    "lamb": [{}, {"betas": (0.7, 0.9), "epsilon": 1e-3}],
    "muon": [{}, {"momentum": 0.5, "nesterov": False}, {"rest_lr": 0.1}],
    "rmsprop": [{}, {"rho": 0.7, "epsilon": 0.01}, {"momentum": 0.8}, {"centered": True, "momentum": 0.8}],
}
CASES = [(name, chosen) for name in OPTIMIZERS for chosen in OPTIONS[name]]
REFERENCE: dict[str, Callable[..., float]] = {
    "sgd": reference.sgd,
    "adam": reference.adam,
    "adamw": lambda *numbers, **words: reference.adam(*numbers, decoupled=True, **words),
    "adagrad": reference.adagrad,
    "adadelta": reference.adadelta,
    "rmsprop": reference.rmsprop,
    "sam": reference.sgd,  # its gradient is another: tests/training/test_step.py
    "lamb": reference.lamb,
    "muon": lambda weight, gradients, rest_lr=None, **words: reference.muon(
        np.array([[weight]]), [np.array([[gradient]]) for gradient in gradients], **words
    ).item(),
}
ADAMW = REFERENCE["adamw"]
OF_BIASES: dict[str, Callable[..., float]] = {
    "lamb": ADAMW,
    "muon": lambda bias, gradients, lr, decay, rest_lr=1e-3, **_: ADAMW(bias, gradients, lr=rest_lr, decay=decay),
}


class One(nn.Module):
    """A network of one weight and one bias, y = w x + b, before its last layer."""

    def __init__(self, weight: float, bias: float) -> None:
        super().__init__()
        self.linear, self.last = nn.Linear(1, 1).double(), nn.Linear(1, 1).double()
        with torch.no_grad():
            self.linear.weight.fill_(weight)
            self.linear.bias.fill_(bias)


@pytest.mark.parametrize("verb", [striate.train, striate.find_lr], ids=["train", "find_lr"])
def test_the_help_of_training_names_every_optimizer(verb: Callable[..., Any]) -> None:
    (line,) = re.findall(r"^ *optimizer: (.+)\.$", inspect.getdoc(verb) or "", re.MULTILINE)
    assert re.split(r", | or ", line) == sorted(OPTIMIZERS)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_option_is_tried(name: str) -> None:
    assert {key for chosen in OPTIONS[name] for key in chosen} == {
        option.name for option in dataclasses.fields(OPTIMIZERS[name])
    } - {option.name for option in dataclasses.fields(OptimizerSettings)}


@pytest.mark.parametrize(("name", "chosen"), CASES)
def test_follows_its_papers_rule_and_decays_the_weight_but_not_the_bias(name: str, chosen: dict[str, Any]) -> None:
    gradients = [0.5, -1.0, 0.25, 2.0, -0.125]
    model = One(0.7, -0.3)
    optimizer = OPTIMIZERS[name](lr=0.1, weight_decay=0.05, **chosen).create(model)
    for gradient in gradients:
        for parameter in model.parameters():
            parameter.grad = torch.full_like(parameter, gradient)
        optimizer.step()
    rule = REFERENCE[name]
    assert model.linear.weight.item() == pytest.approx(rule(0.7, gradients, lr=0.1, decay=0.05, **chosen), rel=1e-9)
    rule = OF_BIASES.get(name, rule)
    assert model.linear.bias.item() == pytest.approx(rule(-0.3, gradients, lr=0.1, decay=0.0, **chosen), rel=1e-9)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_loss_falls_at_the_default_rate(name: str) -> None:
    model, batch = make_model(dropout=0.0), next(MadeBatches().epoch(0))
    state = make_state(model, optimizer=from_json(OptimizerSettings, name).create(model))
    losses = [step(state, batch)[0] for _ in range(15)]
    assert losses[-1] < 0.97 * losses[0]


def test_a_step_of_adadelta_has_the_unit_of_the_weight_and_not_of_the_loss() -> None:
    gradients = [0.5, -1.0, 0.25, 2.0, -0.125]
    steps = {}
    for scale in (1.0, 1000.0):
        model = One(0.0, 0.0)
        optimizer = Adadelta(epsilon=1e-12).create(model)
        for gradient in gradients:
            model.linear.weight.grad = torch.full_like(model.linear.weight, scale * gradient)
            optimizer.step()
        steps[scale] = model.linear.weight.item()
    assert steps[1000.0] == pytest.approx(steps[1.0], rel=1e-6)
    # A weight in thousandths has gradients a thousandth as large and moves a thousand times as far.
    wide = [gradient / 1000 for gradient in gradients]
    numbers = reference.adadelta(0.0, wide, lr=1.0, decay=0.0, epsilon=1e-12 / 1e6, step_epsilon=1e-12 * 1e6)
    assert numbers == pytest.approx(1000 * steps[1.0], rel=1e-6)


class Mixed(nn.Module):
    """One of each kind of parameter, a tied weight and a frozen one."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.group = nn.GroupNorm(2, 4)
        self.activation = nn.PReLU(4)
        self.planes = nn.LayerNorm([4, 6, 6])
        self.linear = nn.Linear(4, 4)
        self.tied = nn.Linear(4, 4, bias=False)
        self.tied.weight = self.linear.weight
        self.frozen = nn.Linear(4, 3).requires_grad_(False)


def test_penalties_act_on_kernels_and_matrices_only_each_once() -> None:
    model = Mixed()
    names = {parameter: name for name, parameter in model.named_parameters()}
    weights, others = split_parameters(model)
    assert [names[p] for p in weights] == ["conv.weight", "linear.weight"]
    assert [names[p] for p in others] == [
        "conv.bias",
        "norm.weight",
        "norm.bias",
        "group.weight",
        "group.bias",
        "activation.weight",
        "planes.weight",
        "planes.bias",
        "linear.bias",
    ]


@pytest.mark.parametrize("shape", [(3, 2, 3, 3), (8, 2, 1, 1), (5, 5)])
def test_muon_makes_the_step_of_its_paper_for_the_matrix_of_the_filters(shape: tuple[int, ...]) -> None:
    generator = torch.Generator().manual_seed(3)
    start, *gradients = (torch.randn(shape, generator=generator, dtype=torch.float64) for _ in range(5))
    model = nn.ParameterList([start.clone()])
    optimizer = Muon(weight_decay=0.05).create(model)
    for gradient in gradients:
        model[0].grad = gradient
        optimizer.step()
    rows = [gradient.reshape(shape[0], -1).numpy() for gradient in gradients]
    wanted = reference.muon(start.reshape(shape[0], -1).numpy(), rows, lr=0.02, decay=0.05)
    np.testing.assert_allclose(model[0].detach().reshape(shape[0], -1).numpy(), wanted, rtol=1e-9, atol=1e-12)


def test_muon_makes_the_step_of_torchs_muon_on_a_matrix() -> None:
    start = torch.randn(6, 4, generator=torch.Generator().manual_seed(3))
    ends = []
    for ours in (True, False):
        model = nn.ParameterList([start.clone()])
        model[0].grad = start.flip(0)
        optimizer = Muon().create(model) if ours else optim.Muon(model.parameters(), lr=0.02, weight_decay=0)
        optimizer.step()
        ends.append(model[0].detach() - start)
    torch.testing.assert_close(ends[0], ends[1], rtol=0, atol=0.02 * 0.02)  # torch computes it in bfloat16


def test_muon_leaves_the_last_layer_to_adamw_and_gives_both_the_factor_of_their_rate() -> None:
    model = build_model("lenet5", classes=3, channels=1, size=(32, 32))
    head = model.get_submodule(str(model.head))
    last = list(head.parameters())
    rates = (LayerRate(last, 0.5), LayerRate([each for each in model.parameters() if each not in set(last)]))
    groups = Muon(lr=0.1, rest_lr=0.01, weight_decay=0.2).create(model, rates).param_groups
    facts = [(group["orthogonal"], group["lr"], group["weight_decay"], len(group["params"])) for group in groups]
    assert facts == [(False, 0.005, 0.2, 1), (False, 0.005, 0.0, 1), (True, 0.1, 0.2, 4), (False, 0.01, 0.0, 4)]


def test_the_step_of_lamb_has_the_size_of_the_layers_weights() -> None:
    generator = torch.Generator().manual_seed(3)
    model = nn.ParameterList([torch.randn(4, 3, 2, 2, generator=generator), torch.zeros(5, 2)])
    before = [parameter.detach().clone() for parameter in model]
    for parameter in model:
        parameter.grad = torch.randn(parameter.shape, generator=generator)
    LAMB(lr=0.1, weight_decay=0.3).create(model).step()
    steps = [(parameter.detach() - old).norm() for parameter, old in zip(model, before, strict=True)]
    torch.testing.assert_close(steps[0], 0.1 * before[0].norm())
    torch.testing.assert_close(steps[1], torch.tensor(0.1 * 10**0.5))  # no weights yet: Adam's first step


@pytest.mark.parametrize("layout", ["contiguous", "channels_last"])
@pytest.mark.parametrize("name", [name for name in OPTIMIZERS if name not in ("lamb", "muon")])
def test_the_kernel_for_all_parameters_computes_what_torchs_plain_loop_computes(name: str, layout: Layout) -> None:
    plan = ExecutionPlan(layout=layout)
    start = plan.adopt(nn.Sequential(nn.Conv2d(5, 4, 3), nn.Flatten(), nn.Linear(4, 3)))
    ends = []
    for plain in (False, True):
        model, generator = copy.deepcopy(start), torch.Generator().manual_seed(4)
        optimizer = OPTIMIZERS[name](lr=0.01, weight_decay=0.01).create(model)
        for group in optimizer.param_groups:
            kernel = "fused" if "fused" in group else "foreach"
            assert group[kernel] is True
            group[kernel] = not plain
        for _ in range(5):
            for parameter in model.parameters():  # in the layout of the parameter, as backward gives it
                parameter.grad = torch.empty_like(parameter).copy_(torch.randn(parameter.shape, generator=generator))
            optimizer.step()
        ends.append(torch.cat([p.detach().reshape(-1) for p in model.parameters()]))
    assert not torch.equal(ends[0], torch.cat([p.detach().reshape(-1) for p in start.parameters()]))
    torch.testing.assert_close(ends[0], ends[1], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "chosen", "sentence"),
    [
        ("sgd", {"betas": (0.9, 0.99)}, "The optimizer 'sgd' has no option 'betas'"),
        ("sgd", {"momentum": 1.0}, "momentum must be at least 0 and below 1; received 1"),
        ("sgd", {"momentum": 0.0, "nesterov": True}, "nesterov needs momentum above 0"),
        ("adam", {"betas": (0.9, 1.0)}, "betas must be two numbers, at least 0 and below 1"),
        ("adamw", {"lr": 0.0}, "lr must be above 0"),
        ("adamw", {"weight_decay": -0.1}, "weight_decay must be at least 0"),
        ("adadelta", {"rho": 1.0}, "rho must be at least 0 and below 1"),
        ("adadelta", {"epsilon": 0.0}, "epsilon must be above 0"),
        ("rmsprop", {"momentum": 1.0}, "momentum must be at least 0 and below 1"),
        ("adagrad", {"epsilon": -1.0}, "epsilon must be at least 0"),
        ("adamm", {}, "There is no optimizer 'adamm'. Did you mean 'adam'"),
    ],
)
def test_what_cannot_be_is_refused(name: str, chosen: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        from_json(OptimizerSettings, {"name": name, **chosen})


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_biases_of_normalizations_have_the_rate_that_is_a_multiple_of_the_others(name: str) -> None:
    model = Mixed()
    rates = {}
    for factor in (1.0, 64.0):
        optimizer = OPTIMIZERS[name](lr=0.1, weight_decay=0.05, norm_bias_rate=factor).create(model)
        groups = [(each, group) for group in optimizer.param_groups for each in group["params"]]
        rates[factor] = {each: (group["lr"], group["initial_lr"], group["weight_decay"]) for each, group in groups}
    assert rates[1.0].keys() == rates[64.0].keys()
    for parameter, (rate, initial, decay) in rates[1.0].items():
        norms = (model.norm, model.group, model.planes)
        times = 64.0 if any(parameter is norm.bias for norm in norms) else 1.0
        assert rates[64.0][parameter] == (pytest.approx(times * rate), pytest.approx(times * initial), decay)


def test_the_rate_of_a_layer_multiplies_that_of_its_norms_biases() -> None:
    model = make_model()
    rates = [LayerRate(list(model.parameters()), 0.5)]
    optimizer = OPTIMIZERS["sgd"](lr=0.1, norm_bias_rate=8.0).create(model, rates)
    (rate,) = {
        group["lr"] for group in optimizer.param_groups if any(each is model[1].bias for each in group["params"])
    }
    assert rate == pytest.approx(0.4)


def test_adagrad_steps_on_a_device_without_a_fused_kernel() -> None:
    layer = nn.Linear(3, 2, device="meta")  # of a GPU too, torch has none
    optimizer = OPTIMIZERS["adagrad"](lr=0.1).create(layer)
    for parameter in layer.parameters():
        parameter.grad = torch.empty_like(parameter)
    optimizer.step()
    assert len(optimizer.state) == 2
