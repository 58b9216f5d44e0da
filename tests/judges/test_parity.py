"""The judges' own tool: equal networks agree, and whatever is not equal is named."""

from __future__ import annotations

import dataclasses
import importlib
import re
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn

from judges.parity import DisagreementError, Judge, compare, pair_up
from striate.models import MODELS, Network

SHAPE = (3, 24, 20)


class Scale(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(8))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gamma


class Small(Network):
    """A convolution, a norm, an auxiliary classifier, a scale, a 1×1 convolution, dropout and a head."""

    feature_maps: Mapping[str, str] = {"stem": "norm"}
    head = "fc"
    auxiliary_heads: ClassVar = {"aux": "aux"}

    def __init__(self, *, epsilon: float = 1e-5, bias: bool = False) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 6, 3, padding=1, bias=bias)
        self.norm = nn.BatchNorm2d(6, eps=epsilon)
        self.relu = nn.ReLU()
        self.aux = nn.Linear(6, 5)
        self.mix = nn.Conv2d(6, 8, 1)
        self.scale = Scale()
        self.dropout = nn.Dropout(0.5)
        self.fc = nn.Linear(8, 5)
        self.card = MODELS["linear"].card

    def forward(self, x: Tensor) -> Tensor:
        return self.forward_with_auxiliary(x)[0] if self.training else self._classify(self._maps(x))

    def forward_with_auxiliary(self, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        maps = self._maps(x)
        auxiliary = self.aux(maps.mean((2, 3)))
        return self._classify(maps), {"aux": auxiliary}

    def _maps(self, x: Tensor) -> Tensor:
        return self.relu(self.norm(self.conv(x)))

    def _classify(self, maps: Tensor) -> Tensor:
        return self.fc(self.dropout(self.scale(self.mix(maps).mean((2, 3)))))


class Mixed(Small):
    """The same, its 1×1 convolution written as a fully connected layer over the channels."""

    def __init__(self) -> None:
        super().__init__()
        self.mix = nn.Linear(6, 8)

    def _classify(self, maps: Tensor) -> Tensor:
        return self.fc(self.dropout(self.scale(self.mix(maps.permute(0, 2, 3, 1)).mean((1, 2)))))


class Slower(Small):
    """Another stride, which no shape of a weight shows."""

    def __init__(self) -> None:
        super().__init__()
        self.conv.stride = (2, 2)


def judge(build: Callable[[], Any], **changed: Any) -> Judge:
    return dataclasses.replace(Judge("linear", "torch", build, shape=SHAPE, build_ours=Small), **changed)


@pytest.mark.parametrize("build", [Small, Mixed])
def test_equal_networks_agree_in_logits_gradients_and_training(build: Callable[[], Network]) -> None:
    found = compare(judge(build), gradients=True)
    assert found.logits < 1e-5
    assert found.gradients is not None
    assert found.gradients < 1e-10
    assert found.training is not None
    assert found.training < 1e-10


def test_auxiliary_logits_are_compared_where_the_judge_has_them() -> None:
    def theirs(network: Small, pictures: Tensor) -> Tensor | tuple[Tensor, ...]:
        if not network.training:
            return network(pictures)
        logits, auxiliary = network.forward_with_auxiliary(pictures)
        return logits, auxiliary["aux"]

    asked = judge(Small, auxiliary=True, theirs=theirs)
    assert "aux.weight" in [path for path, _, _ in pair_up(asked)[2]]
    training = compare(asked, gradients=True).training
    assert training is not None
    assert training < 1e-10


def test_a_difference_that_no_weight_shows_is_a_difference_of_logits() -> None:
    assert compare(judge(Slower)).logits > 1e-2


@pytest.mark.parametrize(
    ("build", "sentence"),
    [
        (lambda: Small(epsilon=1e-3), r"'norm' .* epsilon is 1e-05 in ours, 0.001 in the judge"),
        (lambda: Small(bias=True), r"module 0 is 'conv' .* in the judge, which has 'bias' besides"),
        (
            lambda: nn.Sequential(nn.Conv2d(3, 7, 3, bias=False)),
            r"module 0 is 'conv' .*6×3×3×3.* '0' .*7×3×3×3.*'weight' differs",
        ),
        (
            lambda: nn.Sequential(nn.Conv2d(3, 6, 3, bias=False), nn.BatchNorm2d(6)),
            r"nothing for ours after its 2 modules: 'mix'",
        ),
    ],
)
def test_the_first_place_where_two_networks_part_is_named(build: Callable[[], nn.Module], sentence: str) -> None:
    with pytest.raises(DisagreementError, match=re.compile(sentence, re.DOTALL)):
        compare(judge(build))


def test_tensors_of_one_side_only_are_set_to_have_no_effect() -> None:
    assert compare(judge(lambda: Small(bias=True), only_theirs={"bias": 0.0})).logits < 1e-5
    without = judge(Small, build_ours=lambda: Small(bias=True), only_ours={"bias": 0.0})
    assert compare(without).logits < 1e-5


def test_modules_used_in_another_order_are_paired_by_name() -> None:
    class Turned(Small):
        def _classify(self, maps: Tensor) -> Tensor:
            scaled = self.fc.weight * 1  # used before: the order of calls is what counts
            return super()._classify(maps) + 0 * scaled.sum()

        def _maps(self, x: Tensor) -> Tensor:
            maps = super()._maps(x)
            self.fc(maps.new_zeros(1, 8))
            return maps

    with pytest.raises(DisagreementError, match="'mix'"):
        compare(judge(Turned))
    assert compare(judge(Turned, rename={"fc": "fc"})).logits < 1e-5


def test_logits_without_a_spread_judge_nothing() -> None:
    with pytest.raises(DisagreementError, match="would hide a difference"):
        compare(judge(Small, theirs=lambda network, pictures: 0 * network(pictures)))


def test_a_keras_model_is_read_in_its_own_layout() -> None:
    keras = importlib.import_module("keras")

    class Ours(Network):
        def __init__(self) -> None:
            super().__init__()
            self.card = MODELS["linear"].card
            self.conv = nn.Conv2d(3, 6, 3, bias=False)
            self.norm = nn.BatchNorm2d(6, eps=1e-3)
            self.left = nn.Conv2d(6, 12, 3, padding=1, groups=6)
            self.right_depth = nn.Conv2d(6, 12, 3, padding=1, groups=6, bias=False)
            self.right_point = nn.Conv2d(12, 12, 1)
            self.fc = nn.Linear(24, 5)

        def forward(self, x: Tensor) -> Tensor:
            x = self.norm(self.conv(x))
            both = torch.cat([self.left(x), self.right_point(self.right_depth(x))], dim=1)
            return self.fc(both.mean((2, 3)))

    def theirs() -> Any:
        layers = keras.layers
        given = keras.Input((24, 20, 3))
        x = layers.BatchNormalization()(layers.Conv2D(6, 3)(given))
        left = layers.DepthwiseConv2D(3, padding="same", depth_multiplier=2)(x)
        right = layers.SeparableConv2D(12, 3, padding="same", depth_multiplier=2)(x)
        pooled = layers.GlobalAveragePooling2D()(layers.Concatenate()([left, right]))
        return keras.Model(given, layers.Dense(5)(layers.Dropout(0.5)(pooled)))

    asked = Judge("linear", "keras", theirs, shape=SHAPE, build_ours=Ours)
    with pytest.raises(DisagreementError, match="'bias' besides"):
        compare(asked)
    asked = dataclasses.replace(asked, only_theirs={"bias": 0.0})
    found = compare(asked, gradients=True)
    assert found.logits < 1e-5
    assert found.gradients is not None
    assert found.gradients < 1e-4
    assert found.training is not None
    assert found.training < 1e-4
    double = dataclasses.replace(asked, double=True)
    _, _, pairs = pair_up(double)
    assert {slot.tensor.dtype for _, *both in pairs for slot in both} == {torch.float64}
    assert compare(double).logits < 1e-7  # Keras's epsilon is a number in float32
