"""The shadow of a network: another network of the same form, on the meta device, that leaves its original alone."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from striate.models import MODELS
from striate.tracing import meta_copy


class Odd(nn.Module):
    """Attributes of modules other than parameters and modules: lists of them, shared ones, themselves, tensors."""

    def __init__(self) -> None:
        super().__init__()
        self.shared = nn.Linear(2, 2)
        self.again = self.shared
        self.seen: list[Any] = [self.shared, {"me": self}]
        self.table = torch.arange(6.0)
        self.register_buffer("count", torch.zeros(()), persistent=False)
        self.tied = nn.Linear(2, 2, bias=False)
        self.tied.weight = self.shared.weight

    def forward(self, x: Tensor) -> Tensor:
        self.seen.append(len(self.seen))
        return self.tied(self.again(x)) + self.table[:2] + self.count


class Owned(nn.Module):
    """Says itself how it is copied."""

    def __init__(self) -> None:
        super().__init__()
        self.copies = 0

    def __deepcopy__(self, memo: dict[int, Any]) -> Owned:
        made = Owned()
        made.copies = self.copies + 1
        return made


def test_it_has_the_same_modules_with_the_same_settings_and_no_data() -> None:
    original = MODELS["lenet5"].build(channels=1, size=(28, 28), classes=3)
    made = meta_copy(original)
    assert repr(made) == repr(original)
    assert {tensor.device.type for tensor in made.state_dict().values()} == {"meta"}
    assert [path for path, _ in made.named_parameters()] == [path for path, _ in original.named_parameters()]
    assert not made.training
    assert original.training
    assert {tensor.device.type for tensor in original.state_dict().values()} == {"cpu"}
    assert made(torch.empty(2, 1, 28, 28, device="meta")).shape == (2, 3)


def test_shared_modules_stay_shared_and_other_values_are_copied() -> None:
    original = Odd()
    made = meta_copy(original)
    assert isinstance(made, Odd)
    assert made.shared is made.again is made.seen[0]
    assert made.seen[1]["me"] is made
    assert made.tied.weight is made.shared.weight
    assert made.table.is_meta
    assert made.count.is_meta
    made(torch.empty(1, 2, device="meta"))
    assert len(made.seen) == 3
    assert len(original.seen) == 2
    assert "count" not in made.state_dict()


def test_hooks_are_not_copied() -> None:
    original = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    calls: list[nn.Module] = []
    for module in original.modules():
        module.register_forward_hook(lambda module, given, output: calls.append(module))
        module.register_forward_pre_hook(lambda module, given, kwargs: calls.append(module), with_kwargs=True)
    meta_copy(original)(torch.empty(1, 2, device="meta"))
    assert calls == []
    original(torch.ones(1, 2))
    assert len(calls) == 6


def test_a_module_that_says_how_it_is_copied_is_copied_so() -> None:
    made = meta_copy(nn.Sequential(Owned()))
    assert isinstance(made, nn.Sequential)
    assert isinstance(made[0], Owned)
    assert made[0].copies == 1


def test_a_recurrent_layer_still_finds_its_weights() -> None:
    outputs, _ = meta_copy(nn.GRU(3, 4))(torch.empty(5, 2, 3, device="meta"))
    assert outputs.shape == (5, 2, 4)


def test_parametrized_and_compiled_forms_are_copied_as_deepcopy_would() -> None:
    original = nn.Sequential(parametrizations.weight_norm(nn.Linear(3, 2)))
    traced = torch.fx.symbolic_trace(nn.Sequential(nn.Linear(3, 2), nn.ReLU()))
    for network in (original, traced):
        made = meta_copy(network)
        assert repr(made) == repr(copy.deepcopy(network))
        assert made(torch.empty(4, 3, device="meta")).shape == (4, 2)
