"""What `capture` keeps is what was computed there, and the gradient is that of the place."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from striate.hooks import PlaceError, capture


class Block(nn.Module):
    """A residual block as others write it: one ReLU for all, in place, its result unused; the sum in place."""

    feature_maps: Mapping[str, str] = {"stage1": "second"}
    head = "second"

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 3, 3, padding=1), nn.Conv2d(3, 3, 3, padding=1)
        self.relu, self.nothing = nn.ReLU(inplace=True), nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        y = self.first(x)
        self.relu(y)
        y = self.second(self.nothing(y))
        y += x
        F.relu_(y)
        return torch.relu(y.sum((2, 3)) - 1)


def by_hand(block: Block, x: Tensor) -> dict[str, Tensor]:
    """Every value of the block, each in a tensor of its own."""
    found = {"first": block.first(x)}
    found["relu:1"] = found["first"].relu()
    found["nothing"] = found["relu:1"].clone()
    found["second"] = found["stage1"] = block.second(found["nothing"])
    found["add:1"] = found["second"] + x
    found["relu:2"] = found["add:1"].relu()
    found["sum:1"] = found["relu:2"].sum((2, 3))
    found["relu:3"] = (found["sum:1"] - 1).relu()
    return found


@pytest.fixture
def block() -> Block:
    torch.manual_seed(2)
    return Block()


NAMES: tuple[str, ...] = ("first", "relu:1", "nothing", "second", "stage1", "add:1", "relu:2", "sum:1", "relu:3")


@pytest.mark.parametrize("names", [NAMES, *[(name,) for name in NAMES]], ids=lambda names: "+".join(names))
@pytest.mark.parametrize("needed", ["picture", "parameters", "nothing"])
def test_values_and_gradients_are_those_of_the_net_written_out(
    block: Block, names: tuple[str, ...], needed: str
) -> None:
    x = torch.randn(2, 3, 6, 6)
    reference = x.clone().requires_grad_()
    expected = by_hand(block, reference)
    expected_gradients = dict(
        zip(NAMES, torch.autograd.grad(expected["relu:3"].sum(), [expected[name] for name in NAMES]), strict=True)
    )
    block.requires_grad_(needed == "parameters")
    x.requires_grad_(needed == "picture")
    with capture(block, names) as captured:
        score = block(x).sum()
        gradients = torch.autograd.grad(score, [captured[name] for name in names])
    assert captured.names == names
    assert torch.equal(score, expected["relu:3"].sum())
    for name, gradient in zip(names, gradients, strict=True):
        assert torch.equal(captured[name], expected[name]), name
        torch.testing.assert_close(gradient, expected_gradients[name])
        torch.testing.assert_close(captured.gradient(name), expected_gradients[name])
    assert x.requires_grad == (needed == "picture")
    assert x.is_leaf


def test_with_frozen_parameters_the_graph_begins_at_the_first_place(block: Block) -> None:
    block.requires_grad_(False)
    with capture(block, ["second"]) as captured:
        block(torch.randn(1, 3, 6, 6))
    assert captured["second"].is_leaf
    assert captured["second"].requires_grad


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_without_autograd_the_values_are_the_same(block: Block, mode: Callable[[], Any]) -> None:
    x = torch.randn(2, 3, 6, 6)
    expected = by_hand(block, x)
    with mode(), capture(block, NAMES) as captured:
        block(x)
    for name in NAMES:
        assert torch.equal(captured[name], expected[name]), name
        assert not captured[name].requires_grad
    with pytest.raises(PlaceError, match="No gradient reached place 'first'"):
        captured.gradient("first")


def test_it_holds_the_last_forward_pass_and_its_gradients_only(block: Block) -> None:
    images = torch.randn(2, 1, 3, 6, 6)
    with capture(block, ["relu:2", "first"]) as captured:
        block(images[0]).sum().backward()
        old = block(images[1]).sum()
        assert torch.equal(captured["relu:2"], by_hand(block, images[1])["relu:2"])
        block(images[0])
        old.backward()
        with pytest.raises(PlaceError, match="No gradient"):
            captured.gradient("first")


def test_operations_outside_the_model_do_not_count(block: Block) -> None:
    x = torch.randn(1, 3, 6, 6)
    with capture(block, ["relu:2"]) as captured:
        F.relu(block(F.relu(x)))
    assert captured["relu:2"].shape == (1, 3, 6, 6)


def test_gradients_by_a_plain_backward_and_after_the_block(block: Block) -> None:
    x = torch.randn(2, 3, 6, 6)
    with capture(block, ["first"]) as captured:
        score = block(x).sum()
    score.backward()
    expected = by_hand(block, x)
    (gradient,) = torch.autograd.grad(expected["relu:3"].sum(), expected["first"])
    torch.testing.assert_close(captured.gradient("first"), gradient)


def test_no_hook_stays_whatever_happens(block: Block) -> None:
    with capture(block, ["first", "relu:1"]):
        block(torch.randn(1, 3, 6, 6))
    with pytest.raises(RuntimeError), capture(block, ["first", "relu:1"]):
        block(torch.randn(1, 7, 6, 6))
    with pytest.raises(KeyboardInterrupt), capture(block, ["first"]):
        raise KeyboardInterrupt
    with pytest.raises(PlaceError), capture(block, ["first", "missing"]):
        pass
    for module in block.modules():
        assert not module._forward_hooks
        assert not module._forward_pre_hooks
        assert not module._forward_hooks_always_called
    assert not torch.overrides._get_current_function_mode_stack()


class Spelled(nn.Module):
    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x) + 0


@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("relu:1", lambda x: x.relu_()),
        ("relu:1", nn.ReLU(inplace=True)),
        ("relu6:1", nn.ReLU6()),
        ("relu6:1", F.relu6),
        ("hardtanh:1", F.hardtanh),
        ("threshold:1", lambda x: F.threshold(x, 0, 0)),
        ("clamp:1", lambda x: torch.clip(x, 0)),
        ("max_pool2d:1", nn.MaxPool2d(2)),
        ("sub:1", lambda x: 1 - x),
        ("div:1", lambda x: 1 / x),
        ("cat:2", lambda x: torch.concat([torch.cat([x, x]), x])),
        ("add:1", lambda x: x.clone().add_(1)),
        ("mul:1", lambda x: 2 * x),
        ("conv2d:1", nn.Conv2d(3, 1, 1)),
        ("linear:1", nn.Linear(6, 2)),
        ("batch_norm:1", nn.BatchNorm2d(3)),
        ("softmax:1", lambda x: x.softmax(1)),
    ],
)
def test_an_operation_has_one_name_however_it_is_spelled(name: str, function: Callable[[Tensor], Tensor]) -> None:
    x = torch.randn(2, 3, 6, 6)
    model = Spelled(function)
    with torch.no_grad(), capture(model, [name]) as captured:
        given = model(x.clone())
    torch.testing.assert_close(captured[name], given)


# What is said when a place cannot be given


def test_a_place_that_does_not_exist_offers_the_nearest(block: Block) -> None:
    with pytest.raises(PlaceError, match=r"received 'secnd'\. Did you mean 'second'"), capture(block, ["secnd"]):
        pass


def test_an_operation_that_did_not_run_lists_those_that_did(block: Block) -> None:
    with capture(block, ["relu:4"]) as captured:
        block(torch.randn(1, 3, 6, 6))
    with pytest.raises(PlaceError, match=r"'relu:4' did not run .*relu:1…3"):
        captured["relu:4"]


def test_a_module_that_runs_twice_asks_for_the_operation_meant() -> None:
    shared = nn.ReLU()
    net = nn.Sequential(nn.Linear(2, 2), shared, nn.Linear(2, 2), shared)
    with capture(net, ["1", "relu:2"]) as captured:
        out = net(torch.randn(1, 2))
    with pytest.raises(PlaceError, match="'1' ran 2 times"):
        captured["1"]
    assert torch.equal(captured["relu:2"], out)


def test_a_place_that_gives_more_than_one_map_is_refused() -> None:
    class Twins(nn.Module):
        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            return x, x

    class Both(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.twins = Twins()

        def forward(self, x: Tensor) -> Tensor:
            return self.twins(x)[0]

    model = Both()
    with pytest.raises(PlaceError, match="'twins' must return one map; it returns tuple"), capture(model, ["twins"]):
        model(torch.zeros(1))


def test_a_value_that_was_overwritten_unseen_is_not_given() -> None:
    class Hoarder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Linear(2, 2)
            self.kept: list[Tensor] = []
            self.inner.register_forward_hook(self.keep)

        def keep(self, module: nn.Module, given: Any, output: Tensor) -> None:
            self.kept.append(output)

        def forward(self, x: Tensor) -> Tensor:
            y = self.inner(x)
            with torch.no_grad():
                self.kept[0].zero_()
            return y

    model = Hoarder()
    with capture(model, ["inner"]) as captured:
        model(torch.ones(1, 2))
    with pytest.raises(PlaceError, match="changed in place by a hidden operation"):
        captured["inner"]


def test_scripted_regions_are_named_and_refused() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        net = nn.Sequential(nn.Linear(2, 2), torch.jit.script(nn.Sequential(nn.ReLU(), nn.Linear(2, 2))))
    with capture(net, ["0"]) as captured:
        net(torch.ones(1, 2))
    assert captured["0"].shape == (1, 2)
    for place, sentence in [
        ("1", "is or lies within module '1', which is scripted"),
        ("1.0", "is or lies within module '1', which is scripted"),
        ("relu:1", "cannot be counted past module '1'"),
    ]:
        with pytest.raises(PlaceError, match=sentence), capture(net, [place]):
            pass


@pytest.mark.parametrize("part", ["whole", "inner"])
def test_compiled_regions_are_seen_as_the_python_they_were_compiled_from(block: Block, part: str) -> None:
    x = torch.randn(2, 3, 6, 6)
    expected = by_hand(block, x)
    model: Any
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if part == "whole":
            model, before = torch.compile(block, backend="eager"), ""
        else:
            model, before = nn.Sequential(cast(nn.Module, torch.compile(block, backend="eager"))), "0."
        model(x)
        with capture(model, [f"{before}second", "relu:2"]) as captured:
            model(x)
    assert torch.equal(captured[f"{before}second"], expected["second"])
    assert torch.equal(captured["relu:2"], expected["relu:2"])


def test_a_checkpointed_region_is_captured_in_its_forward_pass() -> None:
    torch.manual_seed(0)
    inner = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    net = Spelled(lambda x: checkpoint(inner, x, use_reentrant=False))
    net.inner = inner
    x = torch.randn(4, 2)
    with capture(net, ["inner.0", "relu:1"]) as captured:
        net(x).sum().backward()
    assert torch.equal(captured["inner.0"], inner[0](x))
    value = inner[0](x).detach().requires_grad_()
    (expected,) = torch.autograd.grad(inner[2](inner[1](value)).sum(), value)
    assert torch.equal(captured.gradient("inner.0"), expected)
