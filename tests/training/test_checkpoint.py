"""A checkpoint gives back what it was given, and says so when it cannot."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from torch import nn

from rehearsal.small import MadeBatches, make_model, make_state, weights
from striate.core.device import ExecutionPlan
from striate.core.duration import Duration
from striate.core.errors import RunError, TrainingError
from striate.training import (
    OPTIMIZERS,
    LogPosition,
    TrainState,
    newest_checkpoint,
    read_checkpoint,
    restore,
    train,
)
from striate.training.checkpoint import DamagedCheckpointError, checkpoint_path, snapshot, write_checkpoint

POSITION = LogPosition(length=10, sha256="00", loss_sum=0.1 + 0.2, steps=3)
UNTIL = Duration.parse("7st")


def make(name: str, plan: ExecutionPlan) -> TrainState:
    model, settings = plan.adopt(make_model()), OPTIMIZERS[name](lr=0.01, weight_decay=0.01)
    rules = {"sharpness": settings.sharpness, "gradient_noise": 0.01, "max_norm": 1.0}
    return make_state(model, plan=plan, optimizer=settings.create(model), **rules)


@pytest.mark.parametrize("layout", ["contiguous", "channels_last"])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_restored_into_a_new_state_it_goes_on_bit_for_bit(name: str, layout: str, tmp_path: Path) -> None:
    plan = ExecutionPlan(layout="channels_last" if layout == "channels_last" else "contiguous")
    first = make(name, plan)
    list(train(first, MadeBatches(), until=Duration.parse("3st")))
    write_checkpoint(tmp_path, snapshot(first, POSITION))
    list(train(first, MadeBatches(), until=UNTIL))

    second = make(name, plan)
    checkpoint = read_checkpoint(checkpoint_path(tmp_path, 3))
    assert (checkpoint.log_position, checkpoint.plan, checkpoint.clock.step) == (POSITION, plan, 3)
    restore(second, checkpoint)
    for parameter, statistics in second.optimizer.state.items():
        for value in map(torch.as_tensor, statistics.values()):
            assert value.shape != parameter.shape or value.stride() == parameter.stride()
    list(train(second, MadeBatches(), until=UNTIL))
    assert torch.equal(weights(second.model), weights(first.model))


def test_a_snapshot_does_not_move_with_the_training() -> None:
    state = make_state()
    taken = snapshot(state, POSITION)
    before = {name: value.clone() for name, value in taken.tensors.items()}
    list(train(state, MadeBatches(), until=UNTIL))
    assert all(torch.equal(value, before[name]) for name, value in taken.tensors.items())


def test_weights_that_two_modules_share_are_kept(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(72, 72), nn.Linear(72, 72), nn.Linear(72, 3))
    model[2].weight = model[1].weight
    state = make_state(model)
    list(train(state, MadeBatches(), until=UNTIL))
    checkpoint = read_checkpoint(write_checkpoint(tmp_path, snapshot(state, POSITION)))
    assert torch.equal(checkpoint.weights["1.weight"], checkpoint.weights["2.weight"])


@pytest.mark.parametrize("damage", ["cut", "bit in the header", "bit in the weights", "empty", "format"])
def test_a_damaged_one_is_refused_with_a_sentence_and_the_one_before_is_used(damage: str, tmp_path: Path) -> None:
    state = make_state()
    write_checkpoint(tmp_path, snapshot(state, POSITION))
    list(train(state, MadeBatches(), until=UNTIL))
    path = write_checkpoint(tmp_path, snapshot(state, POSITION))
    data = bytearray(path.read_bytes())
    if damage == "cut":
        del data[len(data) // 2 :]
    elif damage == "bit in the header":
        at = data.index(b"seconds")
        data[at] ^= 4
    elif damage == "bit in the weights":
        data[-5] ^= 1
    elif damage == "format":
        data = data.replace(rb"\"format\": 1", rb"\"format\": 2")
    else:
        data.clear()
    path.write_bytes(data)
    with pytest.raises(DamagedCheckpointError, match="is damaged"):
        read_checkpoint(path)
    found, refused = newest_checkpoint(tmp_path)
    assert found is not None
    assert found.clock.step == 0
    assert len(refused) == 1
    assert refused[0].startswith(f"The checkpoint {path} is damaged")


@pytest.mark.parametrize("kind", ["pipe", "folder", "endless", "headless", "deep"])
def test_an_invalid_checkpoint_is_reported_and_the_one_before_it_is_used(kind: str, tmp_path: Path) -> None:
    write_checkpoint(tmp_path, snapshot(make_state(), POSITION))
    path = checkpoint_path(tmp_path, 9)
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "endless":
        path.symlink_to("/dev/zero")
    else:
        header = b'{"__metadata__": []}' if kind == "headless" else b"[" * 100_000
        path.write_bytes(len(header).to_bytes(8, "little") + header)
    found, refused = newest_checkpoint(tmp_path)
    assert found is not None
    assert found.clock.step == 0
    assert len(refused) == 1
    assert "Traceback" not in refused[0]
    assert f"The checkpoint {path} is damaged" in refused[0]


class Counting(torch.optim.SGD):
    """An optimizer that keeps a number for each parameter, as `torch.optim.SparseAdam` does: it halves every rate."""

    def step(self, closure: None = None) -> None:
        for group in self.param_groups:
            for parameter in group["params"]:
                seen = self.state[parameter].get("seen", 0)
                self.state[parameter]["seen"] = seen + 1
                with torch.no_grad():
                    parameter.add_(parameter.grad, alpha=-group["lr"] * 0.5**seen)


def test_statistics_that_are_numbers_are_kept_like_tensors(tmp_path: Path) -> None:
    def begin() -> TrainState:
        model = make_model(0.0)
        return make_state(model, optimizer=Counting(model.parameters(), lr=0.1))

    first, second = begin(), begin()
    list(train(first, MadeBatches(), until=Duration.parse("3st")))
    restore(second, read_checkpoint(write_checkpoint(tmp_path, snapshot(first, POSITION))))
    for state in (first, second):
        list(train(state, MadeBatches(), until=UNTIL))
    assert torch.equal(weights(second.model), weights(first.model))


def test_a_folder_without_checkpoints_has_no_newest(tmp_path: Path) -> None:
    assert newest_checkpoint(tmp_path / "absent") == (None, [])


def test_weights_that_are_not_finite_are_not_written() -> None:
    state = make_state()
    with torch.no_grad():
        next(state.model.parameters())[0, 0, 0, 0] = float("inf")
    with pytest.raises(TrainingError, match=r"After step 0 0\.weight holds values that are not finite"):
        snapshot(state, POSITION)


def test_buffers_may_hold_infinity() -> None:
    model = make_model()
    model.register_buffer("mask", torch.full((2,), -torch.inf))
    assert "model.mask" in snapshot(make_state(model), POSITION).tensors


def test_statistics_of_other_parameters_are_a_sentence() -> None:
    first, second = make_state(), make_state()
    list(train(first, MadeBatches(), until=Duration.parse("1st")))
    for group in second.optimizer.param_groups:
        group["params"].reverse()
    with pytest.raises(RunError, match=r"belongs to another optimizer: .* of shape .* for a parameter of shape"):
        restore(second, snapshot(first, POSITION))


def test_a_checkpoint_of_another_network_is_a_sentence() -> None:
    other = make_state(nn.Sequential(nn.Flatten(), nn.Linear(72, 3)))
    with pytest.raises(RunError, match="The checkpoint at step 0 belongs to another network"):
        restore(other, snapshot(make_state(), POSITION))
