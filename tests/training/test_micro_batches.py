"""Batches computed in pieces: the gradient of the whole, one update; half the images at once where memory is short."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from rehearsal.small import MadeBatches, make_model, make_state, weights
from striate.core.batch import Batch
from striate.core.device import ExecutionPlan, out_of_memory
from striate.core.duration import Duration
from striate.core.errors import TrainingError
from striate.tasks import CLASSIFICATION, Classification
from striate.training import LogPosition, MemoryShort, TrainState, evaluate, read_checkpoint, restore, step, train
from striate.training.autotune import choose_plan
from striate.training.averages import EMA
from striate.training.backward import backward, pieces
from striate.training.checkpoint import checkpoint_path, snapshot, write_checkpoint
from striate.training.optimizers import SGD
from striate.training.schedules import Cosine

LENGTH = Duration.parse("2ep")
SHORT = "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory"
TASK = Classification(criterion=functional.cross_entropy)


def batch_of(count: int) -> Batch:
    generator = torch.Generator().manual_seed(count)
    images = torch.randn(count, 2, 6, 6, generator=generator)
    return Batch(images, torch.randint(3, (count,), generator=generator), torch.arange(count))


def plain_model() -> nn.Sequential:
    torch.manual_seed(1)
    return nn.Sequential(nn.Conv2d(2, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(64, 3))


def gradients(model: nn.Module) -> Tensor:
    return torch.cat([parameter.grad.reshape(-1) for parameter in model.parameters() if parameter.grad is not None])


@pytest.mark.parametrize("parts", [1, 2])
@pytest.mark.parametrize("most", [1, 2, 3, 5, 6])
def test_the_gradient_of_pieces_is_that_of_the_whole_batch(most: int, parts: int) -> None:
    model, batch = plain_model(), batch_of(7)
    whole = functional.cross_entropy(model(batch.images), batch.targets)
    whole.backward()
    judged = gradients(model)
    model.zero_grad()
    loss = backward(model, TASK, batch, ExecutionPlan(micro_batch=most, parts=parts))
    assert loss.item() == pytest.approx(whole.item(), rel=1e-6)
    assert (gradients(model) - judged).norm() < 1e-6 * judged.norm()


@pytest.mark.parametrize(
    ("count", "most", "sizes"),
    [
        (8, None, [8]),
        (8, 8, [8]),
        (8, 3, [3, 3, 2]),
        (9, 4, [3, 3, 3]),
        (3, 2, [3]),
        (5, 2, [3, 2]),
        (1, 2, [1]),
        (3, 1, [1, 1, 1]),
    ],
)
def test_pieces_are_few_and_equal_and_no_image_is_alone(count: int, most: int | None, sizes: list[int]) -> None:
    found = pieces(batch_of(count), most)
    assert [len(piece) for piece in found] == sizes
    assert torch.equal(torch.cat([piece.index for piece in found]), torch.arange(count))


@pytest.mark.parametrize(
    "options",
    [
        {"clip_norm": 0.05},
        {"clip_value": 0.01},
        {"sharpness": 0.3},
        {"gradient_noise": 0.3},
        {"l1": 0.01, "max_norm": 0.5},
    ],
    ids=lambda options: "+".join(options),
)
def test_rules_that_change_the_gradient_see_that_of_the_whole_batch(options: dict[str, Any]) -> None:
    ends = []
    for most in (None, 3):
        state = make_state(plain_model(), plan=ExecutionPlan(micro_batch=most), lr=0.5, **options)
        step(state, batch_of(7))
        ends.append(weights(state.model))
    torch.testing.assert_close(ends[0], ends[1], rtol=1e-5, atol=1e-6)


def test_a_batch_in_pieces_is_one_update_for_schedule_average_and_clock() -> None:
    def made(most: int | None) -> TrainState:
        model = plain_model()
        return make_state(
            model,
            plan=ExecutionPlan(micro_batch=most),
            optimizer=SGD(lr=0.1, momentum=0.9).create(model),
            schedule=Cosine().over(LENGTH),
            average=EMA(decay=0.5),
            length=LENGTH,
        )

    whole, divided = made(None), made(2)
    for state in (whole, divided):
        list(train(state, MadeBatches(), until=LENGTH))
    assert divided.clock.step == 10
    assert divided.averaged is not None
    assert divided.averaged.count == 10
    torch.testing.assert_close(weights(divided.model), weights(whole.model), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(weights(divided.network), weights(whole.network), rtol=1e-4, atol=1e-6)


def test_stopped_within_an_epoch_and_resumed_it_is_the_same_bit_for_bit(tmp_path: Path) -> None:
    def made() -> TrainState:  # with batch norm and dropout
        return make_state(plan=ExecutionPlan(micro_batch=2), average=EMA(), length=LENGTH)

    whole, stopped = made(), made()
    list(train(whole, MadeBatches(), until=LENGTH))
    list(train(stopped, MadeBatches(), until=Duration.parse("3st")))
    write_checkpoint(tmp_path, snapshot(stopped, LogPosition(0, "", 0.0, 0)))
    stopped = made()
    restore(stopped, read_checkpoint(checkpoint_path(tmp_path, 3)))
    list(train(stopped, MadeBatches(), until=LENGTH))
    assert torch.equal(weights(stopped.model), weights(whole.model))
    assert torch.equal(weights(stopped.network), weights(whole.network))
    assert int(whole.model.get_buffer("1.num_batches_tracked")) == 20  # two pieces of each of ten batches


class Hungry(nn.Module):
    """The identity, which needs more memory than there is for more than `most` images, from call `after` on.

    In the forward pass, or with `late` in the backward pass.
    """

    def __init__(self, most: int, *, after: int = 0, late: bool = False, error: BaseException | None = None) -> None:
        super().__init__()
        self.most, self.after, self.late = most, after, late
        self.error = error or RuntimeError(SHORT)
        self.calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        if len(x) <= self.most or self.calls <= self.after:
            return x
        if not self.late:
            raise self.error
        if x.requires_grad:
            x = x * 1.0
            x.register_hook(self._refuse)
        return x

    def _refuse(self, gradient: Tensor) -> None:
        raise self.error


def hungry_state(hungry: nn.Module, **changes: Any) -> TrainState:
    """A model with batch norm and dropout before the hungry module."""
    model = make_model()
    model.insert(4, hungry)
    return make_state(model, **{"plan": ExecutionPlan(), **changes})


def course(state: TrainState) -> list[MemoryShort]:
    return [event for event in train(state, MadeBatches(), until=LENGTH) if isinstance(event, MemoryShort)]


@pytest.mark.parametrize("late", [False, True], ids=["forward", "backward"])
@pytest.mark.parametrize("sharpness", [None, 0.1], ids=["plain", "sharpness"])
def test_a_step_without_enough_memory_is_computed_again_exactly(late: bool, sharpness: float | None) -> None:
    short = hungry_state(Hungry(2, late=late), sharpness=sharpness)
    known = hungry_state(nn.Identity(), sharpness=sharpness, plan=ExecutionPlan(micro_batch=2))
    events = course(short)
    assert course(known) == []
    assert [(event.clock.step, event.micro_batch, event.normalized) for event in events] == [(1, 2, True)]
    assert torch.equal(weights(short.model), weights(known.model))
    assert short.plan == known.plan


@pytest.mark.parametrize("sharpness", [None, 0.1], ids=["plain", "sharpness"])
def test_memory_that_becomes_short_later_changes_only_the_steps_from_then_on(sharpness: float | None) -> None:
    after = 3 if sharpness is None else 7  # within the fourth step, with sharpness in its second pass
    short = hungry_state(Hungry(2, after=after), sharpness=sharpness)
    known = hungry_state(nn.Identity(), sharpness=sharpness)
    events = train(short, MadeBatches(), until=LENGTH)
    assert [event.clock.step for event in events if isinstance(event, MemoryShort)] == [4]
    list(train(known, MadeBatches(), until=Duration.parse("3st")))
    known.plan = ExecutionPlan(micro_batch=2)
    list(train(known, MadeBatches(), until=LENGTH))
    assert torch.equal(weights(short.model), weights(known.model))


def test_the_size_is_halved_until_it_fits_and_a_checkpoint_keeps_it(tmp_path: Path) -> None:
    model = nn.Sequential(Hungry(3), plain_model())
    state = make_state(model, plan=ExecutionPlan())
    step(state, batch_of(16))
    assert state.plan.micro_batch == 2
    write_checkpoint(tmp_path, snapshot(state, LogPosition(0, "", 0.0, 0)))
    assert read_checkpoint(checkpoint_path(tmp_path, 0)).plan.micro_batch == 2


def test_what_is_not_enough_for_one_image_is_one_sentence_and_other_errors_pass() -> None:
    state = make_state(nn.Sequential(Hungry(0), plain_model()), plan=ExecutionPlan())
    with pytest.raises(TrainingError, match=r"not enough for a training step with a single image at once .*recompute"):
        step(state, batch_of(4))
    with pytest.raises(TrainingError, match="with 2 images at once"):  # one has no variance
        step(hungry_state(Hungry(1)), batch_of(4))
    other = Hungry(0, error=RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    with pytest.raises(RuntimeError, match="mat1"):
        step(make_state(nn.Sequential(other, plain_model()), plan=ExecutionPlan()), batch_of(4))


def test_errors_of_memory_are_those_of_gpu_and_of_cpu() -> None:
    with pytest.raises(RuntimeError) as refused:
        torch.empty(2**60)
    assert out_of_memory(refused.value)
    assert out_of_memory(torch.OutOfMemoryError("CUDA out of memory."))
    assert not out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))


def test_an_evaluation_without_enough_memory_is_made_in_halves() -> None:
    model = make_model()
    judged = evaluate(model, CLASSIFICATION, MadeBatches(2), ExecutionPlan())
    hungry = nn.Sequential(Hungry(1), copy.deepcopy(model))
    found = evaluate(hungry, CLASSIFICATION, MadeBatches(2), ExecutionPlan())
    torch.testing.assert_close(torch.from_numpy(found.values), torch.from_numpy(judged.values))
    with pytest.raises(RuntimeError, match="DefaultCPUAllocator"):
        evaluate(nn.Sequential(Hungry(0), model), CLASSIFICATION, MadeBatches(2), ExecutionPlan())


def test_a_trial_without_enough_memory_tries_half_the_images_and_is_not_cached(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STRIATE_CACHE", str(tmp_path))
    model = nn.Sequential(Hungry(5), plain_model())
    assert choose_plan(model, (16, 2, 6, 6), device="cpu", precision="float32").micro_batch == 4
    assert not list(tmp_path.rglob("*.json"))
