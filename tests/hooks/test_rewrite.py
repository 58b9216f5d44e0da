"""Rewriting holds for operations as they run, says what it did, and refuses what it cannot see."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from striate.hooks import DECONVNET, GUIDED, RewriteError, Rewritten, Rule, rewrite

RULES = pytest.mark.parametrize("rule", [DECONVNET, GUIDED], ids=lambda rule: rule.name)


class Net(nn.Module):
    """Three convolutions with a shortcut, each followed by what `spell` does as a ReLU."""

    def __init__(self, spell: list[Callable[[Tensor], Tensor]]) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(2, 6, 3, padding=1), nn.Conv2d(6, 6, 3, padding=1)
        self.norm = nn.BatchNorm2d(6)
        self.third, self.head = nn.Conv2d(12, 6, 3), nn.Linear(6, 3)
        self.spell = list(spell)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(self.spell[0](self.first(x)), 3, 2)
        y = self.norm(self.second(x))
        y = torch.cat([self.spell[1](y + x), x], 1)
        return self.head(self.spell[2](self.third(y)).mean((2, 3)))


def _into_a_view(x: Tensor) -> Tensor:
    F.relu_(x.flatten(1))
    return x


def _half_by_half(x: Tensor) -> Tensor:
    x[:, :3].relu_()
    x[:, 3:].clamp_(min=0)
    return x


def _discarding(x: Tensor) -> Tensor:
    F.relu(x, inplace=True)
    return x


_shared = nn.ReLU()
SPELLINGS: dict[str, Callable[[Tensor], Tensor]] = {
    "shared": _shared,
    "functional": F.relu,
    "in place": F.relu_,
    "method": lambda x: x.relu_(),
    "discarded": _discarding,
    "clamped": lambda x: x.clamp(min=0),
    "maximum": lambda x: torch.maximum(x, torch.zeros(())),
    "into a view": _into_a_view,
    "half by half": _half_by_half,
}


def _threes(names: list[str]) -> list[tuple[str, ...]]:
    """Each name once at each of three places."""
    return [tuple(names[(start + step) % len(names)] for step in (0, 2, 5)) for start in range(len(names))]


def by_rule(rule: Rule, model: nn.Module, images: Tensor) -> tuple[Tensor, Rewritten]:
    images = images.detach().requires_grad_()
    with rewrite(model, rule) as rewritten:
        (gradient,) = torch.autograd.grad(model(images)[:, 0].sum(), images)
    return gradient, rewritten


@RULES
@pytest.mark.parametrize("kinds", _threes(list(SPELLINGS)), ids=" + ".join)
@pytest.mark.parametrize("frozen", [False, True], ids=["trainable", "frozen"])
def test_however_relu_is_spelled_the_map_is_that_of_one_module_for_each(
    rule: Rule, kinds: tuple[str, ...], frozen: bool
) -> None:
    torch.manual_seed(4)
    net = Net([SPELLINGS[kind] for kind in kinds]).eval().requires_grad_(not frozen)
    twin = Net([nn.ReLU(), nn.ReLU(), nn.ReLU()]).eval()
    twin.load_state_dict(net.state_dict())
    images = torch.randn(3, 2, 9, 9)
    expected, _ = by_rule(rule, twin, images)
    ours, rewritten = by_rule(rule, net, images)
    assert torch.equal(ours, expected)
    assert sum(rewritten.counts.values()) == 4 + kinds.count("half by half")
    assert not rewritten.unruled


def test_a_batch_is_so_many_images() -> None:
    torch.manual_seed(0)
    net, images = Net([F.relu] * 3).eval().double(), torch.randn(3, 2, 9, 9, dtype=torch.float64)
    together, _ = by_rule(GUIDED, net, images)
    apart = torch.cat([by_rule(GUIDED, net, image[None])[0] for image in images])
    torch.testing.assert_close(together, apart, rtol=1e-12, atol=1e-15)


def test_afterwards_the_gradient_is_the_plain_one_again_even_of_the_same_graph() -> None:
    net, images = Net([F.relu] * 3).eval(), torch.randn(2, 2, 9, 9, requires_grad=True)
    score = net(images).sum()
    (plain,) = torch.autograd.grad(score, images)
    with rewrite(net, GUIDED):
        score = net(images).sum()
        (guided,) = torch.autograd.grad(score, images, retain_graph=True)
        (again,) = torch.autograd.grad(score, images, retain_graph=True)
    (after,) = torch.autograd.grad(score, images)
    assert torch.equal(guided, again)
    assert not torch.equal(guided, plain)
    assert torch.equal(after, plain)


@pytest.mark.parametrize("how", ["Tensor.backward", "torch.autograd.backward"])
def test_every_way_to_call_for_a_backward_pass_is_seen(how: str) -> None:
    net, images = Net([F.relu] * 3).eval().requires_grad_(False), torch.randn(2, 2, 9, 9, requires_grad=True)
    expected, _ = by_rule(GUIDED, net, images)
    with rewrite(net, GUIDED):
        score = net(images)[:, 0].sum()
        score.backward() if how == "Tensor.backward" else torch.autograd.backward([score])
    assert images.grad is not None
    assert torch.equal(images.grad, expected)


def test_an_operation_is_counted_once_and_several_passes_add_up() -> None:
    net, images = Net([F.relu] * 3).eval(), torch.randn(2, 2, 9, 9, requires_grad=True)
    with rewrite(net, GUIDED) as rewritten:
        for _ in range(2):
            score = net(images).sum()
            torch.autograd.grad(score, images, retain_graph=True)
            torch.autograd.grad(score, images)
    assert dict(rewritten.counts) == {"relu": 6, "max_pool2d": 2}
    assert str(rewritten) == "guided: relu 6, max_pool2d 2"


def test_operations_after_the_logits_and_before_the_image_are_left_alone() -> None:
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.LazyLinear(2)).eval()
    net(torch.zeros(1, 1, 5, 5))
    seed = torch.randn(1, 1, 5, 5, requires_grad=True)
    with rewrite(net, GUIDED) as rewritten:
        image = F.relu(seed)
        score = F.relu(net(image) + 100)[:, 0].sum()
        at_image, at_seed = torch.autograd.grad(-score, [image, seed])
    assert dict(rewritten.counts) == {"relu": 1}
    assert torch.equal(at_seed, at_image * (seed > 0))
    negated, _ = by_rule(GUIDED, nn.Sequential(*net, Negative()), image)
    assert torch.equal(at_image, negated)


class Negative(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return -x


class Applied(nn.Module):
    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function
        self.register_buffer("mask", torch.rand(4, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.function(F.relu(x))


PASSING: dict[str, tuple[dict[str, int], Callable[[Tensor], Tensor]]] = {
    "sigmoid": ({"sigmoid": 1}, torch.sigmoid),
    "prelu": ({"prelu": 1}, nn.PReLU()),
    "hardswish": ({"hardswish": 1}, F.hardswish),
    "group norm": ({"group_norm": 1}, nn.GroupNorm(2, 4)),
    "batch norm at work on the batch": ({"batch_norm": 1}, nn.BatchNorm2d(4)),
    "softmax": ({"softmax": 1}, lambda x: x.softmax(1)),
    "a product of two maps": ({"mul": 1}, lambda x: x * x.mean((2, 3), keepdim=True)),
    "a quotient of two maps": ({"div": 1}, lambda x: x / (x.mean() + 1)),
    "a matrix product of two maps": ({"bmm": 1}, lambda x: x.flatten(2) @ x.flatten(2).transpose(1, 2)),
    "a ReLU of its own making": ({"mul": 1}, lambda x: x * (x > 0)),
    "a choice": ({"where": 1}, lambda x: torch.where(x > 1, x, 0)),
    "the larger of two maps": ({"maximum": 1}, lambda x: torch.maximum(x, x.flip(3))),
    "clamp elsewhere": ({"clamp": 1}, lambda x: x.clamp(min=0.5)),
    "tanh of a part in place": ({"tanh": 1}, lambda x: x.clone()[:, :2].tanh_()),
    "linear ones": (
        {},
        lambda x: F.interpolate(F.avg_pool2d(F.pad(torch.cat([x, -x]), [1, 1]) * 3 / 7, 2), (9, 9)),
    ),
    "scaled by the model's own": ({}, lambda x: nn.BatchNorm2d(4).eval()(x).roll(1, 2).squeeze().sum(0, keepdim=True)),
    "a part overwritten": ({}, lambda x: _overwritten(x)),
}  # fmt: skip


def _overwritten(x: Tensor) -> Tensor:
    y = torch.zeros_like(x)
    y[:, 1:] = x[:, :-1]
    y[:, :1] += x[:, -1:]
    return y


@pytest.mark.parametrize("what", list(PASSING))
def test_operations_with_their_plain_gradient_are_named(what: str) -> None:
    expected, function = PASSING[what]
    model = Applied(function)
    images = torch.randn(2, 4, 8, 8, requires_grad=True)
    with rewrite(model, GUIDED) as rewritten:
        model(images).sum().backward()
    assert dict(rewritten.unruled) == expected
    assert dict(rewritten.counts) == {"relu": 1}


def test_a_scale_that_is_a_weight_is_linear_and_so_is_what_is_done_to_weights() -> None:
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale, self.weight = nn.Parameter(torch.rand(4, 1, 1)), nn.Parameter(torch.randn(4, 4))
            self.register_buffer("mask", torch.rand(4, 1, 1))

        def forward(self, x: Tensor) -> Tensor:
            x = F.relu(x) * self.scale * self.get_buffer("mask") / self.scale
            return F.linear(x.mean((2, 3)), F.relu(self.weight).sigmoid())

    for model in (Scaled(), Scaled().requires_grad_(False)):
        images = torch.randn(2, 4, 8, 8, requires_grad=True)
        with rewrite(model, GUIDED) as rewritten:
            model(images).sum().backward()
        assert dict(rewritten.counts) == {"relu": 1}
        assert not rewritten.unruled


def test_a_recurrent_cell_s_own_relu_is_met() -> None:
    model = Recurrent()
    images = torch.randn(2, 3, 5, requires_grad=True)
    with rewrite(model, GUIDED) as rewritten:
        model(images).sum().backward()
    assert dict(rewritten.counts) == {"relu": 3}


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.RNN(5, 4, nonlinearity="relu", batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.cell(x)[0]


# What is refused


class Doubled(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return 2 * x

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        return 2 * gradient


def test_a_custom_autograd_function_is_named_and_refused() -> None:
    model, images = Applied(Doubled.apply), torch.randn(2, 4, 8, 8, requires_grad=True)
    with pytest.raises(RewriteError, match="runs Doubled, a custom autograd function"), rewrite(model, GUIDED):
        model(images).sum().backward()
    assert images.grad is None


def test_a_scripted_region_is_named_and_refused() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = nn.Sequential(nn.Conv2d(1, 1, 1), torch.jit.script(nn.ReLU()))
    with pytest.raises(RewriteError, match="module '1' of the network is one"), rewrite(model, GUIDED):
        pass


def _inner(x: Tensor) -> Tensor:
    return torch.relu(2 * x) * torch.relu(x - 1).sigmoid()


def test_a_scripted_function_is_refused_where_its_operations_do_not_show() -> None:
    images = torch.randn(2, 4, 8, 8)
    expected, _ = by_rule(GUIDED, Applied(_inner), images)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        traced, scripted = (
            Applied(cast(Callable[[Tensor], Tensor], made))
            for made in (torch.jit.trace(_inner, images), torch.jit.script(_inner))
        )
    ours, rewritten = by_rule(GUIDED, traced, images)
    torch.testing.assert_close(ours, expected)
    assert rewritten.counts["relu"] == 3
    for _ in range(3):  # torch watches the first runs and optimizes the later ones
        scripted(images.clone().requires_grad_())
    with pytest.raises(RewriteError, match="a scripted region"):
        by_rule(GUIDED, scripted, images)


@pytest.mark.parametrize("part", ["whole", "inner", "method"])
def test_a_compiled_network_is_rewritten_as_the_python_it_was_compiled_from(part: str) -> None:
    torch.manual_seed(0)
    eager = nn.Sequential(nn.Conv2d(1, 4, 3), Applied(nn.Conv2d(4, 4, 3)), nn.ReLU())
    images = torch.randn(2, 1, 8, 8)
    expected, _ = by_rule(GUIDED, eager, images)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model: Any = eager
        if part == "whole":
            model = torch.compile(eager, backend="aot_eager")
        elif part == "inner":
            model = nn.Sequential(eager[0], torch.compile(eager[1], backend="aot_eager"), eager[2])  # pyright: ignore
        else:
            model[1].compile(backend="aot_eager")
        model(images.clone().requires_grad_())  # compiled by now
        ours, rewritten = by_rule(GUIDED, model, images)
        assert "Compiled" in _behind(model(images.clone().requires_grad_()))
    assert torch.equal(ours, expected)
    assert dict(rewritten.counts) == {"relu": 2}


def _behind(output: Tensor) -> str:
    """The names of the nodes from which an output comes, in a line."""
    names, node = [], output.grad_fn
    while node is not None:
        names.append(node.name())
        node = node.next_functions[0][0] if node.next_functions else None
    return " ".join(names)


def test_a_checkpointed_region_is_rewritten_where_its_operations_show() -> None:
    torch.manual_seed(0)
    inner, images = nn.Sequential(nn.Conv2d(4, 4, 3), nn.ReLU()), torch.randn(2, 4, 8, 8)
    expected, _ = by_rule(GUIDED, Applied(inner), images)
    ours, _ = by_rule(GUIDED, Applied(lambda x: checkpoint(inner, x, use_reentrant=False)), images)
    assert torch.equal(ours, expected)
    with pytest.raises(RewriteError, match="use_reentrant=False"):
        by_rule(GUIDED, Applied(lambda x: checkpoint(inner, x, use_reentrant=True)), images)


def test_a_checkpointed_silu_is_refused_by_the_guided_rule_and_passed_by_deconvnet() -> None:
    inner, images = nn.Sequential(nn.Conv2d(4, 4, 3), nn.SiLU()), torch.randn(2, 4, 8, 8)
    model = Applied(lambda x: checkpoint(inner, x, use_reentrant=False))
    with pytest.raises(RewriteError, match="The input of silu is needed"):
        by_rule(GUIDED, model, images)
    assert torch.equal(by_rule(DECONVNET, model, images)[0], by_rule(DECONVNET, Applied(inner), images)[0])


def test_nothing_to_rewrite_is_an_error_that_names_what_passed() -> None:
    model, images = nn.Sequential(nn.Conv2d(1, 1, 3), nn.Tanh()), torch.randn(1, 1, 5, 5, requires_grad=True)
    with pytest.raises(RewriteError, match="Non-linear, but without a rule: tanh 1"), rewrite(model, GUIDED):
        model(images).sum().backward()
    assert images.grad is None


def test_a_forward_pass_before_the_block_is_an_error() -> None:
    model, images = nn.ReLU(), torch.randn(3, requires_grad=True)
    score = model(images).sum()
    with pytest.raises(RewriteError, match="by calling the model within the block"), rewrite(model, GUIDED):
        score.backward()


def test_a_block_without_a_backward_pass_is_an_error_unless_another_is_on_its_way() -> None:
    with pytest.raises(RewriteError, match="needs a backward pass in the block"), rewrite(nn.ReLU(), GUIDED):
        pass
    with pytest.raises(ZeroDivisionError), rewrite(nn.ReLU(), GUIDED):
        raise ZeroDivisionError
