"""Activations computed twice give the gradient, the statistics and the random numbers of those computed once."""

from __future__ import annotations

import contextlib
import copy
import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from rehearsal.small import MadeBatches, make_model, make_state, weights
from striate.core.device import ExecutionPlan
from striate.core.duration import Duration
from striate.models import build_model
from striate.training import train
from striate.training.recompute import blocks, recomputed


def passed(network: nn.Module, images: Tensor, *, twice: bool) -> tuple[list[Tensor], int]:
    """Return outputs, gradients and buffers of a training pass, and the bytes that it keeps for the backward pass."""
    model, kept = copy.deepcopy(network).train(), {}

    def keep(value: Tensor) -> Tensor:
        kept[value.untyped_storage().data_ptr()] = value.untyped_storage().nbytes()
        return value

    own = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    torch.manual_seed(3)
    with recomputed(model) if twice else contextlib.nullcontext():
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda value: value):
            outputs = model(images)
        size = sum(count for place, count in kept.items() if place not in own)
        outputs.logsumexp(1).sum().backward()
    gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    return [outputs.detach(), *gradients, *model.buffers()], size


@pytest.mark.parametrize(
    ("name", "count"), [("resnet20", 9), ("lenet5_rgb", 1), ("mobilenet_v1_025", 13), ("(conv3-4 bn relu)*6 gap", 1)]
)
def test_all_is_equal_bit_for_bit_in_networks_of_the_zoo_and_less_is_kept(name: str, count: int) -> None:
    network = build_model(name, seed=0, classes=5, channels=3, size=(32, 32))
    images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    assert len(blocks(network)) == count
    (once, size), (twice, less) = passed(network, images, twice=False), passed(network, images, twice=True)
    assert all(torch.equal(one, other) for one, other in zip(once, twice, strict=True))
    assert less < size / 2


class Pair(nn.Module):
    """A block of two arguments with dropout, batch norm of a mean over all batches, and an operation in place."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.drop, self.act = nn.BatchNorm2d(2, momentum=None), nn.Dropout(0.5), nn.ReLU(inplace=True)
        self.conv = nn.Sequential(nn.Conv2d(2, 2, 3, padding=1))

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return self.act(self.drop(self.norm(self.conv(x))) + y)


class Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stages = nn.ModuleList([Pair(), Pair()])
        self.last = nn.Linear(72, 3)

    def forward(self, x: Tensor) -> Tensor:
        for stage in self.stages:
            x = stage(x, 2 * x)
        return self.last(x.flatten(1))


def make_network() -> nn.Module:
    torch.manual_seed(1)
    return Network()


@pytest.mark.parametrize("make", [make_model, make_network], ids=["chain", "blocks"])
@pytest.mark.parametrize("sharpness", [None, 0.1], ids=["plain", "sharpness"])
def test_a_training_is_equal_bit_for_bit(make: Callable[[], nn.Module], sharpness: float | None) -> None:
    ends = []
    for recompute in (False, True):
        plan = ExecutionPlan(micro_batch=2, recompute=recompute)
        state = make_state(make(), count=2, plan=plan, sharpness=sharpness)
        list(train(state, MadeBatches(2), until=Duration.parse("2ep")))
        ends.append(weights(state.model))
    assert torch.equal(ends[0], ends[1])


def test_a_network_is_afterwards_as_it_was() -> None:
    model = Network()
    own = [block.forward for block in blocks(model)]
    with contextlib.suppress(ValueError), recomputed(model):
        assert all("forward" in vars(block) for block in blocks(model))
        raise ValueError
    assert [block.forward for block in blocks(model)] == own
    assert not any("forward" in vars(block) for block in blocks(model))


def test_a_block_takes_arguments_by_name() -> None:
    class Named(Network):
        def forward(self, x: Tensor) -> Tensor:
            for stage in self.stages:
                x = stage(x, y=x)
            return self.last(x.flatten(1))

    network, images = Named(), torch.randn(4, 2, 6, 6)
    once, twice = (passed(network, images, twice=value)[0] for value in (False, True))
    assert all(map(torch.equal, once, twice))


def test_a_wrapper_of_a_network_is_looked_into() -> None:
    class Wrapper(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = Network()

    assert [type(block) for block in blocks(Wrapper())] == [Pair, Pair]


def test_a_written_network_is_computed_again_piece_by_piece_from_its_end() -> None:
    network = build_model("(conv3-4 relu)*4 gap", seed=0, classes=5, channels=3, size=(8, 8)).train()
    ran: list[str] = []
    for name, layer in network.named_children():
        layer.register_forward_hook(lambda *_, name=name: ran.append(name))
    layers = [name for name, _ in network.named_children()]
    with recomputed(network):
        outputs = network(torch.randn(2, 3, 8, 8))
        assert ran == layers
        ran.clear()
        outputs.sum().backward()
    size = math.ceil(math.sqrt(len(layers)))
    assert layers[0] in ran[-size:]  # the first piece is last; in one piece, as many layers would be kept as without
    assert ran[0] == layers[(len(layers) - 1) // size * size]
