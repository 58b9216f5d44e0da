"""The contract of attacks, checked for all of them on networks of every kind."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from promises.filled import filled
from promises.found import state
from promises.strangers import WRITTEN, Modular, stranger
from promises.subject import blocks, subject
from striate.core.errors import StriateError
from striate.core.spec import InputSpec, channel_names
from striate.explaining.adversarial import ATTACKS, Adversarial, Targeted, Untargeted
from striate.explaining.target import TargetError

# As little work as a promise needs.
SHORT: dict[str, dict[str, Any]] = {"lbfgs": {"searches": 2, "steps": 3}, "pgd": {"steps": 2}}
FOR_ALL_NETS = [name for name in ATTACKS if name != "linear_closed_form"]
EVERY_ATTACK = pytest.mark.parametrize("attack", FOR_ALL_NETS)


def spec_of(size: tuple[int, int], channels: int = 3) -> InputSpec:
    names = channel_names(channels)
    return InputSpec(channels=names, height=size[0], width=size[1], mean=(0.5,) * channels, std=(0.25,) * channels)


def noise(spec: InputSpec, count: int) -> np.ndarray:
    channels, height, width = spec.shape
    return np.random.default_rng(3).integers(0, 256, (count, height, width, channels), np.uint8)


def fool(attack: str, model: nn.Module, spec: InputSpec, count: int, goal: Any = None) -> Adversarial:
    return ATTACKS[attack].function(model, spec, noise(spec, count), goal or Untargeted(), **SHORT.get(attack, {}))


SPEC = spec_of((16, 12))


@EVERY_ATTACK
def test_the_result_is_an_image_and_says_what_it_is(attack: str) -> None:
    model = stranger()
    found = fool(attack, model, SPEC, 3)
    assert found.attack == attack
    assert found.settings == SHORT.get(attack, {})
    assert found.adversarial.dtype == np.uint8
    assert found.adversarial.shape == found.original.shape == found.change.shape == (3, 16, 12, 3)
    assert found.change.any(axis=(1, 2, 3)).all()
    assert np.array_equal(found.fooled, found.after.classes != found.classes)
    assert np.array_equal(found.original, noise(SPEC, 3))
    if ATTACKS[attack].bounded:
        assert found.linf.max() <= 8


@EVERY_ATTACK
@pytest.mark.parametrize("written", list(WRITTEN))
def test_the_image_does_not_depend_on_how_the_network_is_written(attack: str, written: str) -> None:
    for channels, count in ((1, 1), (3, 2)):
        spec = spec_of((16, 12), channels)
        expected = fool(attack, stranger(Modular, channels), spec, count)
        found = fool(attack, stranger(WRITTEN[written], channels), spec, count)
        # The last digit of a sum may turn the rounding of a pixel here and there.
        assert (found.adversarial != expected.adversarial).mean() < 0.02


@EVERY_ATTACK
@pytest.mark.parametrize("ending", ["success", "wrong target", "an error within", "Ctrl-C"])
def test_the_network_comes_back_as_found(attack: str, ending: str) -> None:
    model = copy.deepcopy(stranger()).train()
    model.conv2.requires_grad_(False)
    model.head.weight.grad = torch.ones_like(model.head.weight)
    handle = None
    if ending in ("an error within", "Ctrl-C"):
        passes: list[int] = []
        raised = KeyboardInterrupt if ending == "Ctrl-C" else ZeroDivisionError

        def interrupt(*_: object) -> None:
            passes.append(1)
            if len(passes) > 2:
                raise raised

        handle = model.head.register_forward_hook(interrupt)
    before = state(model)
    if ending == "success":
        fool(attack, model, SPEC, 2)
    else:
        expected = {"wrong target": TargetError, "Ctrl-C": KeyboardInterrupt}.get(ending, ZeroDivisionError)
        with pytest.raises(expected):
            fool(attack, model, SPEC, 2, Targeted(99) if ending == "wrong target" else None)
    assert state(model) == before
    if handle:
        handle.remove()


@EVERY_ATTACK
def test_frozen_parameters_and_bfloat16_are_no_obstacle(attack: str) -> None:
    model = stranger().requires_grad_(False)
    plain = fool(attack, model, SPEC, 2)
    assert plain.change.any()
    rough = fool(attack, copy.deepcopy(model).bfloat16(), SPEC, 2)
    assert rough.change.any(axis=(1, 2, 3)).all()
    assert rough.after.logits.dtype == np.float32


@pytest.mark.parametrize("name", blocks())
def test_a_network_of_every_family_can_be_attacked_and_comes_back(name: str) -> None:
    network = filled(name)
    before = state(network)
    spec = spec_of(subject(name).small)
    found = ATTACKS["fgsm"].function(network, spec, noise(spec, 1), epsilon=1)
    assert found.linf == [1]
    assert np.isfinite(found.after.logits).all()
    assert not np.array_equal(found.after.logits, found.before.logits)
    assert state(network) == before


def test_own_weights_refuse_what_is_not_linear_and_return_it_as_found() -> None:
    model = stranger().train()
    before = state(model)
    with pytest.raises(StriateError, match="linear"):
        fool("linear_closed_form", model, SPEC, 1)
    assert state(model) == before
