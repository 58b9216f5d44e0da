"""The contract of explanations, checked for all of them on networks of every kind."""

from __future__ import annotations

import functools
import inspect
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from promises.explained import explain, it_is_explained
from promises.filled import filled
from promises.found import state
from promises.strangers import WRITTEN, InPlace, Modular, stranger
from promises.subject import asks_all, blocks, pictures, subject
from striate.core.errors import StriateError
from striate.explaining import METHODS, NotFiniteError, TargetError
from striate.models import Network

SIZE = (16, 12)
EVERY_METHOD = pytest.mark.parametrize("method", list(METHODS))


@EVERY_METHOD
def test_the_result_says_what_it_is(method: str) -> None:
    model, images = stranger(), pictures(3, SIZE)
    found, entry = explain(method, model, images), METHODS[method]
    logits = model(images).detach()
    assert found.method is entry
    assert found.target == tuple(logits.argmax(1).tolist())
    np.testing.assert_allclose(found.score, logits.amax(1).numpy(), rtol=1e-6)
    assert found.values.dtype == np.float32
    assert np.isfinite(found.values).all()
    assert found.values.any(axis=tuple(range(1, found.values.ndim))).all()
    assert found.map().shape == (3, *SIZE)
    assert (found.at is not None) is entry.places
    assert (found.residue is not None) is entry.additive
    assert ("at" in inspect.signature(entry.function).parameters) is entry.places
    assert entry.signed or (found.map() >= 0).all()
    assert found.invocation.repeat(found.invocation.network()).values.tobytes() == found.values.tobytes()


@functools.cache
def _of_modules(method: str, channels: int, count: int) -> np.ndarray:
    """The values for the network that is written in modules."""
    return explain(method, stranger(Modular, channels), pictures(count, SIZE, channels)).values


@EVERY_METHOD
@pytest.mark.parametrize("written", list(WRITTEN))
def test_the_map_does_not_depend_on_how_the_network_is_written(method: str, written: str) -> None:
    for channels, count in ((1, 1), (3, 2)):
        found = explain(method, stranger(WRITTEN[written], channels), pictures(count, SIZE, channels))
        _close(found.values, _of_modules(method, channels, count))


@EVERY_METHOD
def test_the_images_are_left_alone(method: str) -> None:
    images = pictures(2, SIZE)
    explain(method, stranger(InPlace), images)
    assert torch.equal(images, pictures(2, SIZE))
    assert not images.requires_grad
    assert images.grad is None


@EVERY_METHOD
def test_a_batch_is_so_many_images(method: str) -> None:
    model, images = stranger(), pictures(3, SIZE)
    together = explain(method, model, images)
    apart = [explain(method, model, image[None]) for image in images]
    _close(together.values, np.concatenate([one.values for one in apart]))


@EVERY_METHOD
def test_frozen_parameters_change_nothing(method: str) -> None:
    images = pictures(2, SIZE)
    frozen = explain(method, stranger().requires_grad_(False), images)
    assert frozen.values.tobytes() == explain(method, stranger(), images).values.tobytes()


@EVERY_METHOD
def test_a_bf16_network_gives_nearly_the_same_map(method: str) -> None:
    images = pictures(2, SIZE)
    target = stranger()(images).argmax(1).tolist()
    found = explain(method, stranger().bfloat16(), images, target).values.reshape(2, -1)
    expected = explain(method, stranger(), images, target).values.reshape(2, -1)
    alike = (found * expected).sum(1) / np.linalg.norm(found, axis=1) / np.linalg.norm(expected, axis=1)
    assert (alike > 0.98).all()


@EVERY_METHOD
def test_a_target_is_a_class_for_all_or_for_each_or_a_function(method: str) -> None:
    model, images = stranger(), pictures(2, SIZE)
    for_all, for_each = explain(method, model, images, 2), explain(method, model, images, [2, 1])
    assert (for_all.target, for_each.target) == ((2, 2), (2, 1))
    _close(for_all.values[:1], for_each.values[:1])
    _close(explain(method, model, images[1:], 1).values, for_each.values[1:])
    if method != "rise":  # whose score of a class is a probability
        function = explain(method, model, images, lambda logits: logits[:, 2])
        assert function.target is None
        _close(function.values, for_all.values)


class Flat(nn.Module):
    """A linear network without a map, or anything that rectifies."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(SIZE[0] * SIZE[1], 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(x.flatten(1))


@EVERY_METHOD
def test_a_network_that_has_not_what_the_method_needs_is_refused(method: str) -> None:
    model, images = Flat(), pictures(2, SIZE, 1)
    if METHODS[method].needs:
        with pytest.raises(StriateError):
            explain(method, model, images)
    else:
        assert np.isfinite(explain(method, model, images).values).all()


class Rooted(nn.Module):
    """The gradient of its score is infinite for a black image."""

    def forward(self, x: Tensor) -> Tensor:
        return x.clamp_min(0).sqrt().mean((2, 3))


def test_a_map_that_is_not_finite_is_refused() -> None:
    with pytest.raises(NotFiniteError, match="Saliency needs a finite score"):
        METHODS["saliency"].function(Rooted(), torch.zeros(2, 3, *SIZE))
    assert explain("saliency", Rooted(), pictures(2, SIZE).abs() + 1).values.any()


# The model is returned as found


class Tripping(InPlace):
    """It fails in the `number`-th forward pass, or in the backward pass through it."""

    def __init__(self, channels: int = 3) -> None:
        super().__init__(channels)
        self.error: BaseException | None = None
        self.number, self.backward, self.passes = 1, False, 0

    def forward(self, x: Tensor) -> Tensor:
        self.passes += 1
        logits = super().forward(x)
        if self.error is not None and self.passes == self.number:
            if not self.backward:
                raise self.error
            if logits.requires_grad:
                logits.register_hook(self._trip)
        return logits

    def _trip(self, gradient: Tensor) -> None:
        assert self.error is not None
        raise self.error


def in_training() -> Tripping:
    """Amid a training: some of it frozen, gradients there, statistics moving, a hook of its owner's."""
    model = stranger(Tripping)
    assert isinstance(model, Tripping)
    model.train()
    model.drop.eval()
    model.conv1.weight.requires_grad_(False)
    model.head.register_forward_hook(lambda *_: None)
    model(pictures(2, SIZE)).sum().backward()
    model.passes = 0
    return model


@EVERY_METHOD
def test_the_model_is_as_found_after_success(method: str) -> None:
    model = in_training()
    before = state(model)
    explain(method, model, pictures(2, SIZE))
    assert state(model) == before


@EVERY_METHOD
@pytest.mark.parametrize("target", [4, [0, 1, 2], lambda logits: logits], ids=["no such class", "too many", "no score"])
def test_the_model_is_as_found_after_a_wrong_target(method: str, target: Any) -> None:
    model = in_training()
    before = state(model)
    with pytest.raises(TargetError):
        explain(method, model, pictures(2, SIZE), target)
    assert state(model) == before


@functools.cache
def _passes(method: str) -> int:
    """How many forward passes the method makes."""
    model = in_training()
    explain(method, model, pictures(2, SIZE))
    return model.passes


@EVERY_METHOD
@pytest.mark.parametrize("error", [ZeroDivisionError(), KeyboardInterrupt()], ids=["an error", "Ctrl-C"])
@pytest.mark.parametrize("backward", [False, True], ids=["forward", "backward"])
def test_the_model_is_as_found_after(method: str, error: BaseException, backward: bool) -> None:
    for number in {1, _passes(method)}:
        model = in_training()
        model.error, model.number, model.backward = error, number, backward
        before = state(model)
        # Not every pass is differentiated.
        with suppress(type(error)) if backward else pytest.raises(type(error)):
            explain(method, model, pictures(2, SIZE))
        assert state(model) == before


# The families of the zoo that are explained in a second. What explanations stand on is asked of all (`test_hooks.py`),
# and every method of every family by `benchmarks/zoo_explained.py`.

QUICK = [name for name in blocks() if subject(name).card.macs < 250_000_000]
DEEP = 30
IN_THE_DEEP = ("grad_cam", "guided_backpropagation")


@pytest.fixture(params=QUICK, scope="module")
def member(request: pytest.FixtureRequest) -> tuple[Network, Tensor]:
    """The smallest member of a family, quickly filled with random weights, and a small image."""
    return filled(request.param), pictures(1, subject(request.param).small)


def test_a_family_is_explained_by_methods_of_every_kind(member: tuple[Network, Tensor]) -> None:
    """The deep ones by two, one that looks into them and one that changes what they pass; the others by these and every
    third in addition, in turn, so that each method explains several. `make zoo` asks for every method of them."""
    network, images = member
    others = METHODS if asks_all() else list(METHODS)[QUICK.index(network.card.name) % 3 :: 3]
    for method in {*IN_THE_DEEP, *(others if network.card.depth < DEEP else ())}:
        it_is_explained(network, images, method)


def _close(found: np.ndarray, expected: np.ndarray) -> None:
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())
