"""Measuring while training: it changes nothing, is repeated on resume, and costs a stated share."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from rehearsal.small import MadeBatches, make_model, make_state
from striate.core.config import to_json
from striate.core.duration import Clock, Duration
from striate.core.errors import ConfigError, RunError, TrainingError
from striate.runs.diagnosis import diagnose_run
from striate.runs.folder import Run
from striate.runs.health import Diagnosed, HealthWatch, read_measurements
from striate.runs.plan import make_plan
from striate.training import (
    EarlyStopping,
    Ending,
    Event,
    EventLog,
    SafePoint,
    TrainState,
    newest_checkpoint,
    read_events,
    restore,
    train_session,
)
from striate.training.event_log import without_wall

EPOCHS = 4  # pay for as many measurements as the batches had `SIZE` images
SIZE = 512


def session(
    folder: Path,
    state: TrainState,
    *,
    epochs: int = EPOCHS,
    size: int = SIZE,
    patience: int | None = None,
    watched: bool = True,
) -> Generator[Event | Diagnosed, None, Ending]:
    """Train as a run does, from its newest checkpoint, with or without measurements."""
    run, batches, until = Run(folder), MadeBatches(), Duration.parse(f"{epochs}ep")
    checkpoint, _ = newest_checkpoint(run.checkpoints)
    if checkpoint is not None:
        restore(state, checkpoint)
    with EventLog(run.events_file, checkpoint.log_position if checkpoint else None) as log:
        events = train_session(
            state,
            batches,
            until=until,
            log=log,
            checkpoints=run.checkpoints,
            stopping=EarlyStopping("loss", patience),
            evaluate=lambda: {"loss": 1.0},
        )
        watch = HealthWatch(run, state, batches, until=until, batch_size=size)
        return (yield from watch.over(events) if watched else events)


def diagnoses(events: Generator[Event | Diagnosed, None, Ending]) -> list[Diagnosed]:
    return [event for event in events if isinstance(event, Diagnosed)]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, TrainState, list[Diagnosed]]:
    """A watched training of a network with batch norm and dropout, to its end."""
    folder, state = tmp_path_factory.mktemp("whole"), make_state()
    return folder, state, diagnoses(session(folder, state))


def test_a_watched_training_is_bit_identical_to_one_that_is_not(
    whole: tuple[Path, TrainState, list[Diagnosed]], tmp_path: Path
) -> None:
    folder, watched, _ = whole
    state, random = make_state(), torch.get_rng_state()
    list(session(tmp_path, state, watched=False))
    for name, value in state.model.state_dict().items():
        assert torch.equal(value, watched.model.state_dict()[name]), name
    ours, theirs = state.optimizer.state_dict(), watched.optimizer.state_dict()
    for number, moments in ours["state"].items():
        assert torch.equal(moments["momentum_buffer"], theirs["state"][number]["momentum_buffer"])
    events = [without_wall(read_events(each / "events.jsonl")) for each in (folder, tmp_path)]
    assert events[0] == events[1]
    assert torch.equal(random, torch.get_rng_state())


def test_layers_are_measured_at_the_start_between_and_at_the_end(
    whole: tuple[Path, TrainState, list[Diagnosed]],
) -> None:
    folder, _, found = whole
    steps = [each.clock.step for each in found]
    assert steps == [0, 10, 15, 20]
    assert [each.measurement for each in found] == list(read_measurements(folder / "health.jsonl"))
    assert found[0].measurement.update is None
    ratio = found[1].measurement.update
    assert ratio is not None
    assert 0 < ratio < 1
    assert [layer.name for layer in found[0].measurement.layers] == ["0", "5"]


def test_the_update_is_the_change_of_the_last_step(tmp_path: Path) -> None:
    state = make_state()
    before: dict[str, torch.Tensor] = {}
    for event in session(tmp_path, state, epochs=2):
        if isinstance(event, Diagnosed) and before:
            for layer in event.measurement.layers:
                weight = dict(state.model.named_parameters())[f"{layer.name}.weight"]
                change = (weight - before[layer.name]).norm() / before[layer.name].norm()
                assert layer.update == pytest.approx(change.item(), rel=1e-4)
        if isinstance(event, SafePoint):
            before = {name: state.model[int(name)].weight.detach().clone() for name in ("0", "5")}  # pyright: ignore


def test_a_resumed_training_repeats_its_measurements(
    whole: tuple[Path, TrainState, list[Diagnosed]], tmp_path: Path
) -> None:
    with contextlib.closing(session(tmp_path, make_state())) as events:
        for event in events:
            if isinstance(event, SafePoint) and event.clock.step == 13:
                break
    kept = (tmp_path / "health.jsonl").read_text().splitlines()
    later = json.loads(kept[-1]) | {"step": 14}  # of a process that was killed after its last checkpoint
    (tmp_path / "health.jsonl").write_text("\n".join([*kept, json.dumps(later)]) + "\n")
    list(session(tmp_path, make_state()))
    assert (tmp_path / "health.jsonl").read_text() == (whole[0] / "health.jsonl").read_text()


def test_half_a_first_line_is_cut_away_before_others_are_added(tmp_path: Path) -> None:
    (tmp_path / "health.jsonl").write_bytes(b'{"step": 0, "lay')
    list(session(tmp_path, make_state()))
    assert read_measurements(tmp_path / "health.jsonl")


def test_a_short_training_is_not_measured(tmp_path: Path) -> None:
    assert diagnoses(session(tmp_path, make_state(), epochs=1, size=50)) == []
    assert not (tmp_path / "health.jsonl").exists()


def test_a_training_that_stops_early_is_measured_at_its_end(tmp_path: Path) -> None:
    found = diagnoses(session(tmp_path, make_state(), epochs=3, size=300, patience=1))
    assert [each.clock.step for each in found] == [10]
    assert outcome(found[-1], "fit") == "no over-fitting", "the training is over: not only so far"


def outcome(found: Diagnosed, subject: str) -> str:
    return next(each.outcome for each in found.judgement.verdicts if each.subject == subject)


def test_a_loss_that_is_not_finite_is_recorded(tmp_path: Path) -> None:
    with pytest.raises(TrainingError):
        list(session(tmp_path, make_state(lr=1e30)))
    assert read_measurements(tmp_path / "health.jsonl")[-1].diverged


def test_a_network_that_cannot_be_measured_trains_on(tmp_path: Path) -> None:
    class Contrary(nn.Sequential):
        def forward(self, input: Any) -> Any:
            if not self.training:
                raise ValueError("in training only")
            return super().forward(input)

    found = diagnoses(session(tmp_path, make_state(Contrary(*make_model())), epochs=1))
    assert {each.measurement.failure for each in found} == {"ValueError: in training only"}
    assert found[-1].clock.step == 5


def test_a_run_that_was_stopped_in_its_first_epoch_has_only_begun(tmp_path: Path) -> None:
    """8 of 40 steps with the loss of a constant answer of 10 classes: a fifth of the training, and no fault yet."""
    plan = make_plan("digits", "digits", {"epochs": "2ep"})
    plan.write(Run(tmp_path))
    with EventLog(tmp_path / "events.jsonl") as log:
        log.write("started", steps_per_epoch=20, classes=list("0123456789"), recipe=to_json(plan.recipe))
        for step in range(1, 9):
            log.write("step", clock=Clock(20, step), loss=2.3 - step / 1000, lr=1e-6)
    found = diagnose_run(Run(tmp_path)).judgement
    rate = next(each for each in found.verdicts if each.subject == "learning rate")
    assert rate.outcome == "undecided"
    assert rate.evidence.startswith("the training has only begun")
    assert not found.faults


def test_a_linear_classifier_on_features_has_no_training_to_diagnose(tmp_path: Path) -> None:
    make_plan("photos", "photos", {"transfer": "features", "weights": "lite0"}).write(Run(tmp_path))
    with pytest.raises(ConfigError, match=r"no training to diagnose\. Its report says what to try next"):
        diagnose_run(Run(tmp_path))


def test_a_damaged_file_is_named_with_its_remedy(tmp_path: Path) -> None:
    (tmp_path / "health.jsonl").write_text("{}\n")
    with pytest.raises(RunError, match=r"health.jsonl is damaged .* Remove it"):
        read_measurements(tmp_path / "health.jsonl")
