"""Captured gradients: those of the batch, captured anew when the network changes, and none where it cannot be.

A capture needs a GPU (`tests/gpu`). Here one that calls the function again takes its place.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import MappingProxyType

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rehearsal.small import make_model
from striate.core.batch import Batch
from striate.core.device import ExecutionPlan
from striate.core.processes import Processes
from striate.models import create_model
from striate.runs.several import on_own_device
from striate.tasks import CLASSIFICATION, Classification, Criterion, OfImages
from striate.training import autotune, captured
from striate.training.backward import backward
from striate.training.captured import is_capturable
from striate.training.losses import LOSSES, CrossEntropy
from striate.training.shortage import divided

EAGER, CAPTURED = ExecutionPlan(), ExecutionPlan(captured=True)


@pytest.fixture
def captures(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """The shape of the images of each capture."""
    found: list[tuple[int, ...]] = []

    class Again:
        def __init__(
            self, function: Callable[..., object], inputs: Sequence[Tensor], buffers: Sequence[Tensor], beside: object
        ) -> None:
            assert (beside is None) is (not found)
            found.append(tuple(inputs[0].shape))
            self.function = function

        def __call__(self, *inputs: Tensor) -> object:
            return self.function(*inputs)

    monkeypatch.setattr(captured, "Replayed", Again)
    return found


def batch(count: int = 4, seed: int = 0) -> Batch:
    draws = torch.Generator().manual_seed(seed)
    images = torch.randn(count, 2, 6, 6, generator=draws)
    return Batch(images, torch.randint(3, (count,), generator=draws), torch.arange(count))


def gradients(model: nn.Module, given: Batch, plan: ExecutionPlan) -> tuple[Tensor, list[Tensor | None]]:
    for parameter in model.parameters():
        parameter.grad = None
    loss = backward(model, CLASSIFICATION, given, plan)
    return loss, [parameter.grad for parameter in model.parameters()]


def assert_same(model: nn.Module, given: Batch) -> None:
    loss, found = gradients(model, given, CAPTURED)
    wanted_loss, wanted = gradients(model, given, EAGER)
    assert torch.equal(loss, wanted_loss)
    for one, other in zip(found, wanted, strict=True):
        assert (one is None and other is None) or (one is not None and other is not None and torch.equal(one, other))


def test_each_shape_is_captured_once_and_gives_the_gradient_of_its_batch(captures: list[tuple[int, ...]]) -> None:
    model = make_model(dropout=0.0)
    for seed in range(3):
        assert_same(model, batch(4, seed))
        assert_same(model, batch(3, seed))
    assert captures == [(4, 2, 6, 6), (3, 2, 6, 6)]


def test_a_gradient_that_is_there_is_added_to(captures: list[tuple[int, ...]]) -> None:
    model = make_model(dropout=0.0)
    _, first = gradients(model, batch(), EAGER)
    assert all(each is not None for each in first)
    backward(model, CLASSIFICATION, batch(), CAPTURED)
    for parameter, gradient in zip(model.parameters(), first, strict=True):
        torch.testing.assert_close(parameter.grad, 2 * gradient if gradient is not None else None)


@pytest.mark.parametrize(
    "change",
    [
        lambda model: model[0].requires_grad_(False),
        lambda model: model[1].eval(),
        lambda model: setattr(model[5], "weight", nn.Parameter(model[5].weight.detach().clone())),
    ],
    ids=["a frozen layer", "a norm in evaluation mode", "another weight"],
)
def test_a_network_that_changes_is_captured_again(
    captures: list[tuple[int, ...]], change: Callable[[nn.Module], object]
) -> None:
    model = make_model(dropout=0.0)
    assert_same(model, batch())
    change(model)
    assert_same(model, batch())
    assert len(captures) == 2


def test_a_batch_of_pieces_or_of_several_processes_is_not_captured(captures: list[tuple[int, ...]]) -> None:
    model, given = make_model(dropout=0.0), batch()
    gradients(model, given, replace(CAPTURED, micro_batch=2))
    gradients(model, replace(given, weight=0.5), CAPTURED)
    assert captures == []
    assert not on_own_device(CAPTURED, Processes(rank=1, count=2)).captured


def test_what_cannot_be_captured_is_computed_plainly_and_not_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    tries = []

    def refuse(*_: object) -> None:
        tries.append(1)
        raise RuntimeError("operation not permitted when stream is capturing")

    monkeypatch.setattr(captured, "Replayed", refuse)
    model = make_model(dropout=0.0)
    for seed in range(3):
        assert_same(model, batch(seed=seed))
    assert len(tries) == 1


def test_short_memory_is_met_without_captures_and_then_by_smaller_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    def short(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(captured, "Replayed", short)
    model = make_model(dropout=0.0)
    with pytest.raises(torch.OutOfMemoryError):
        backward(model, CLASSIFICATION, batch(), CAPTURED)
    plainly = divided(CAPTURED, 4, model.train(), "short")
    assert plainly == EAGER
    assert divided(plainly, 4, model, "short") == ExecutionPlan(micro_batch=2)


class OfTheUser(nn.Linear):
    """A module that is neither torch's nor Striate's."""


def of_the_user(logits: Tensor, targets: Tensor) -> Tensor:
    return F.cross_entropy(logits, targets)


def test_a_network_of_known_layers_without_hooks_may_be_captured() -> None:
    assert is_capturable(create_model("mobilenet_v2", classes=3, size=(32, 32)), CLASSIFICATION)
    assert is_capturable(make_model(), CLASSIFICATION)
    assert not is_capturable(nn.Sequential(OfTheUser(2, 2)), CLASSIFICATION)
    assert not is_capturable(nn.Sequential(nn.Conv2d(2, 2, 1), nn.BatchNorm2d(2, momentum=None)), CLASSIFICATION)
    hooked = make_model()
    hooked[0].register_forward_hook(lambda *_: None)
    assert not is_capturable(hooked, CLASSIFICATION)


@pytest.mark.parametrize("name", LOSSES)
def test_striates_losses_may_be_captured(name: str) -> None:
    assert is_capturable(make_model(), Classification(criterion=LOSSES[name]()))


class WithTeacher(OfImages):
    circumstances: Mapping[str, str] = MappingProxyType({})

    def of(self, images: Tensor) -> Criterion:
        return F.cross_entropy


@pytest.mark.parametrize("criterion", [of_the_user, partial(of_the_user), WithTeacher()])
def test_losses_of_a_user_and_those_with_a_teacher_are_not_captured(criterion: Criterion | OfImages) -> None:
    assert not is_capturable(make_model(), Classification(criterion=criterion))


def test_another_loss_is_not_taken_for_one_that_was_freed(captures: list[tuple[int, ...]]) -> None:
    model = make_model(dropout=0.0)
    for smoothing in (0.0, 0.3, 0.6):
        task = Classification(criterion=CrossEntropy(label_smoothing=smoothing))
        loss = float(backward(model, task, batch(), CAPTURED))
        assert loss == float(backward(model, task, batch(), EAGER))
        del task  # the next one may be in its place in memory
    assert len(captures) == 3


def test_a_hook_that_comes_later_is_called(captures: list[tuple[int, ...]]) -> None:
    model, seen = make_model(dropout=0.0), []
    gradients(model, batch(), CAPTURED)
    model[0].register_forward_hook(lambda *_: seen.append(1))
    for _ in range(2):
        gradients(model, batch(), CAPTURED)
    assert len(seen) == 2
    assert len(captures) == 1


def test_with_recompute_nothing_is_captured(captures: list[tuple[int, ...]]) -> None:
    gradients(make_model(dropout=0.0), batch(), replace(CAPTURED, recompute=True))
    assert captures == []


@pytest.mark.parametrize(("factor", "wins"), [(0.5, True), (0.95, False)])
def test_on_a_gpu_the_winner_is_tried_with_captured_kernels(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, factor: float, wins: bool
) -> None:
    tried: list[list[ExecutionPlan]] = []

    def seconds(model: nn.Module, task: object, batch: object, plans: list[ExecutionPlan], *_: object) -> dict:
        tried.append(plans)
        return {
            plan: (1.0 if plan.layout == "contiguous" else 0.5) * (factor if plan.captured else 1) for plan in plans
        }

    monkeypatch.setenv("STRIATE_CACHE", str(tmp_path))
    monkeypatch.setattr(autotune, "plain_plan", lambda device: ExecutionPlan(device=device))
    monkeypatch.setattr(autotune, "machine", lambda device: {"accelerator": device})
    monkeypatch.setattr(autotune, "computes_in_bf16", lambda _: True)
    monkeypatch.setattr(autotune, "seconds_per_step", seconds)
    monkeypatch.setattr(autotune, "agrees", lambda *_, plain: not plain.captured)
    last = ExecutionPlan(device="cuda", layout="channels_last")
    for _ in range(2):  # the second choice is that of the cache
        chosen = autotune.choose_plan(make_model(), (4, 2, 6, 6), device="cuda")
        assert chosen == replace(last, captured=wins)
    assert [len(plans) for plans in tried] == [4, 2]
    assert tried[1] == [last, replace(last, captured=True)]
    autotune.choose_plan(nn.Sequential(nn.Flatten(), OfTheUser(72, 3)), (4, 2, 6, 6), device="cuda")
    autotune.choose_plan(make_model(), (4, 2, 6, 6), device="cuda", recompute=True)
    assert [len(plans) for plans in tried[2:]] == [2, 4]


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("CUDA out of memory"), RuntimeError("CUBLAS_STATUS_ALLOC_FAILED")]
)
def test_a_capture_without_memory_leaves_the_plain_winner(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def seconds(*_: object) -> None:
        raise error

    monkeypatch.setattr(autotune, "seconds_per_step", seconds)
    given = (make_model(), CLASSIFICATION, batch(), EAGER, EAGER, lambda *_: None)
    assert autotune._captured_if_faster(*given) == EAGER
    monkeypatch.setattr(autotune, "out_of_memory", lambda _: False)
    with pytest.raises(RuntimeError):
        autotune._captured_if_faster(*given)
