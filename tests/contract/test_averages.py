"""What every registered average promises: its paper's formula, its statistics, and a state that a checkpoint keeps."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import update_bn

from reference import averages as reference
from rehearsal.small import MadeBatches, make_model, make_state, weights
from striate.core.config import from_json
from striate.core.duration import Duration
from striate.core.errors import ConfigError
from striate.training import (
    AVERAGES,
    Average,
    LogPosition,
    StepDone,
    TrainState,
    evaluate,
    read_checkpoint,
    restore,
    train,
)
from striate.training.averages import EMA, SWA, Lookahead
from striate.training.checkpoint import checkpoint_path, snapshot, write_checkpoint

LENGTH = Duration.parse("4ep")
CASES: dict[str, list[Average]] = {
    "ema": [EMA(decay=0.9), EMA(decay=0.0)],
    "swa": [SWA(start=0.25), SWA(start=0.0, every_epochs=2)],
    "lookahead": [Lookahead(), Lookahead(every_steps=3, step=0.8)],
}
EVERY = [case for name in AVERAGES for case in CASES[name]]
POSITION = LogPosition(length=10, sha256="00", loss_sum=0.0, steps=3)


def averaging(average: Average | None, model: nn.Module | None = None, **changes: Any) -> TrainState:
    return make_state(model, count=3, average=average, length=LENGTH, **changes)


def numbers(model: nn.Module) -> np.ndarray:
    return torch.cat([parameter.detach().double().reshape(-1) for parameter in model.parameters()]).numpy()


def course(state: TrainState, until: Duration = LENGTH) -> list[np.ndarray]:
    """Train, and return the weights after each step."""
    events = train(state, MadeBatches(3), until=until)
    return [numbers(state.model) for event in events if isinstance(event, StepDone)]


@pytest.mark.parametrize("average", [*CASES["ema"], *CASES["swa"]], ids=repr)
def test_equals_the_closed_form_over_the_course_of_the_weights(average: EMA | SWA) -> None:
    state, plain = averaging(average), averaging(None)
    course(state)
    steps = course(plain)  # the same: these averages leave the training alone
    assert np.array_equal(numbers(state.model), steps[-1])
    if isinstance(average, EMA):
        wanted = reference.ema(steps, average.decay)
    else:
        wanted = reference.swa(steps, 3, average.start, average.every_epochs)
    np.testing.assert_allclose(numbers(state.network), wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("average", CASES["lookahead"], ids=repr)
def test_lookahead_is_its_algorithm_around_gradient_descent(average: Lookahead) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(72, 3)).double()
    batch = next(MadeBatches().epoch(0))
    start = numbers(model)

    def move(row: np.ndarray) -> np.ndarray:
        """Make one step of gradient descent on softmax regression, written out."""
        kernel, bias = row[:216].reshape(3, 72), row[216:]
        images = batch.images.double().reshape(4, 72).numpy()
        logits = images @ kernel.T + bias
        chances = np.exp(logits - logits.max(axis=1, keepdims=True))
        slope = (chances / chances.sum(axis=1, keepdims=True) - np.eye(3)[batch.targets.numpy()]) / 4
        return row - 0.5 * np.concatenate([(slope.T @ images).reshape(-1), slope.sum(axis=0)])

    class One(MadeBatches):
        def epoch(self, epoch: int, *, start: int = 0) -> Any:
            yield from [type(batch)(batch.images.double(), batch.targets, batch.index)] * (3 - start)

    state = averaging(average, model, optimizer=torch.optim.SGD(model.parameters(), lr=0.5))
    list(train(state, One(3), until=LENGTH))
    wanted = reference.lookahead(start, move, 12, average.every_steps, average.step)
    np.testing.assert_allclose(numbers(state.network), wanted, rtol=1e-5, atol=1e-6)
    if 12 % average.every_steps == 0:
        assert np.array_equal(numbers(state.model), numbers(state.network))


@pytest.mark.parametrize("average", EVERY, ids=repr)
def test_stopped_and_resumed_from_a_checkpoint_it_is_the_same_bit_for_bit(average: Average, tmp_path: Path) -> None:
    whole, stopped = averaging(average), averaging(average)
    list(train(whole, MadeBatches(3), until=LENGTH))
    for steps in (2, 7):
        list(train(stopped, MadeBatches(3), until=Duration(float(steps), "st")))
        write_checkpoint(tmp_path, snapshot(stopped, POSITION))
        checkpoint = read_checkpoint(checkpoint_path(tmp_path, steps))
        assert checkpoint.averaged == (stopped.averaged.count if stopped.averaged else 0)
        stopped = averaging(average, make_model().apply(_spoil))
        restore(stopped, checkpoint)
    list(train(stopped, MadeBatches(3), until=LENGTH))
    assert torch.equal(weights(stopped.model), weights(whole.model))
    assert torch.equal(weights(stopped.network), weights(whole.network))
    assert not torch.equal(weights(whole.network), weights(whole.model)) or isinstance(average, (EMA, Lookahead))


def _spoil(module: nn.Module) -> None:
    for parameter in module.parameters(recurse=False):
        nn.init.constant_(parameter, 7.0)


def test_a_checkpoint_without_an_average_has_the_form_that_it_always_had(tmp_path: Path) -> None:
    state = averaging(None)
    list(train(state, MadeBatches(3), until=Duration.parse("1st")))
    path = write_checkpoint(tmp_path, snapshot(state, POSITION))
    assert b"averag" not in path.read_bytes()
    assert (read_checkpoint(path).averaged, read_checkpoint(path).average) == (0, {})


class Counted(nn.Module):
    """A network of one batch norm, with a buffer that an average must copy: infinity has no mean."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.end = nn.BatchNorm2d(2), nn.Linear(72, 3)
        self.register_buffer("mask", torch.tensor([0.0, -torch.inf]))

    def forward(self, x: Tensor) -> Tensor:
        return self.end(self.norm(x).flatten(1))


def statistics(model: nn.Module) -> np.ndarray:
    norm = model.get_submodule("norm")
    assert isinstance(norm, nn.BatchNorm2d)
    return torch.cat([Tensor(norm.running_mean), Tensor(norm.running_var)]).double().numpy()


def test_batch_norm_statistics_are_averaged_as_the_weights_by_ema() -> None:
    state = averaging(EMA(decay=0.9), Counted())
    events = train(state, MadeBatches(3), until=LENGTH)
    steps = [statistics(state.model) for event in events if isinstance(event, StepDone)]
    np.testing.assert_allclose(statistics(state.network), reference.ema(steps, 0.9), rtol=1e-5, atol=1e-7)
    assert not np.allclose(statistics(state.network), steps[-1], rtol=1e-3)
    assert torch.equal(Tensor(state.network.mask), Tensor(state.model.mask))


def test_lookahead_averages_batch_norm_statistics_and_leaves_the_model_its_own() -> None:
    state, plain = averaging(Lookahead(every_steps=4, step=0.5), Counted()), averaging(None, Counted())
    slow = statistics(state.network)
    for each in (state, plain):
        list(train(each, MadeBatches(3), until=Duration(4.0, "st")))
    fast = statistics(plain.model)  # the courses are the same until the model continues from the slow weights
    np.testing.assert_allclose(statistics(state.model), fast, rtol=1e-6)
    np.testing.assert_allclose(statistics(state.network), (slow + fast) / 2, rtol=1e-6)


def test_batch_norm_statistics_of_swa_are_recomputed_over_the_images_of_an_epoch() -> None:
    state = averaging(SWA(), make_model(dropout=0.0))
    course(state)
    judged = copy.deepcopy(state.network)
    update_bn((batch.images for batch in MadeBatches(3).epoch(4)), judged)
    torch.testing.assert_close(weights(state.network), weights(judged), rtol=1e-6, atol=1e-7)
    norm, other = (network.get_submodule("1") for network in (state.network, state.model))
    assert isinstance(norm, nn.BatchNorm2d)
    assert (norm.momentum, norm.training) == (0.1, False)
    assert not torch.allclose(Tensor(norm.running_mean), Tensor(other.running_mean))


def test_norms_that_are_frozen_keep_their_statistics() -> None:
    model = make_model()
    model[1].requires_grad_(False)
    before = {name: value.clone() for name, value in model[1].state_dict().items()}
    state = averaging(SWA(), model)
    course(state)
    assert state.averaged is not None
    assert state.averaged.count == 1
    assert all(
        torch.equal(value, before[name]) for name, value in state.network.get_submodule("1").state_dict().items()
    )


def test_the_averaged_weights_are_evaluated_and_the_loss_falls() -> None:
    state = averaging(EMA(decay=0.5), make_model(dropout=0.0), lr=0.1)

    def losses() -> dict[str, float]:
        return evaluate(state.network, state.task, Same(), state.plan).scores()

    class Same(MadeBatches):
        def epoch(self, epoch: int, *, start: int = 0) -> Any:
            return super().epoch(0, start=start)

    first = losses()["loss"]
    list(train(state, Same(3), until=LENGTH))
    assert losses()["loss"] < 0.9 * first
    assert losses() != evaluate(state.model, state.task, Same(), state.plan).scores()


def test_before_the_first_weights_enter_the_model_itself_is_evaluated() -> None:
    state = averaging(SWA(start=0.5))
    course(state, Duration.parse("2ep"))
    assert state.network is state.model


@pytest.mark.parametrize(
    ("chosen", "sentence"),
    [
        ({"name": "ema", "decay": 1.0}, "decay must be at least 0 and below 1; received 1"),
        ({"name": "swa", "start": 1.0}, "start must be at least 0 and below 1"),
        ({"name": "swa", "every_epochs": 0}, "every_epochs must be at least 1"),
        ({"name": "lookahead", "step": 0.0}, "step must be above 0 and at most 1"),
        ({"name": "lookahead", "every_steps": 0}, "every_steps must be at least 1"),
        ({"name": "emma"}, "There is no average 'emma'. Did you mean 'ema'"),
    ],
)
def test_what_cannot_be_is_refused(chosen: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        from_json(Average, chosen)
