"""A session writes what a later one needs: the event log, the last two checkpoints, and the best."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from rehearsal.small import MadeBatches, make_state, weights
from striate.core import files
from striate.core.duration import Duration
from striate.core.errors import RunError, TrainingError
from striate.training import (
    CheckpointPolicy,
    EarlyStopping,
    Ending,
    Event,
    EventLog,
    Plateau,
    SafePoint,
    StepDone,
    TrainState,
    newest_checkpoint,
    read_checkpoint,
    read_events,
    restore,
    train_session,
)
from striate.training.checkpoint import checkpoint_path, checkpoint_steps
from striate.training.event_log import without_wall

EVERY_EPOCH = CheckpointPolicy(seconds=3600.0, share=1e9)


class Run:
    """A run folder, and its sessions: `losses` are those of the evaluations of the epochs, in order."""

    def __init__(self, folder: Path, losses: list[float], patience: int | None = None) -> None:
        self.folder, self.losses, self.patience = folder, losses, patience
        self.ending: Ending | None = None

    @property
    def steps(self) -> list[int]:
        return checkpoint_steps(self.folder / "checkpoints")

    def sit(self, state: TrainState | None = None, batches: MadeBatches | None = None, **changes: Any) -> list[Event]:
        with contextlib.closing(self.events(state or make_state(), batches, **changes)) as events:
            return list(events)

    def events(
        self, state: TrainState, batches: MadeBatches | None = None, *, policy: CheckpointPolicy = EVERY_EPOCH
    ) -> Generator[Event, None, None]:
        checkpoint, _ = newest_checkpoint(self.folder / "checkpoints")
        if checkpoint is not None:
            restore(state, checkpoint)
        with EventLog(self.folder / "events.jsonl", checkpoint.log_position if checkpoint else None) as log:
            self.ending = yield from train_session(
                state,
                batches or MadeBatches(),
                until=Duration.parse(f"{len(self.losses)}ep"),
                log=log,
                checkpoints=self.folder / "checkpoints",
                stopping=EarlyStopping("loss", self.patience),
                evaluate=lambda: self.evaluate(state),
                policy=policy,
            )

    def evaluate(self, state: TrainState) -> Mapping[str, float]:
        return {"loss": self.losses[state.clock.epoch - 1]}

    def told(self, kind: str) -> list[int]:
        return [event["clock"]["step"] for event in read_events(self.folder / "events.jsonl") if event["event"] == kind]


def test_the_last_two_and_the_best_are_kept(tmp_path: Path) -> None:
    run = Run(tmp_path, [3.0, 1.0, 2.0, 2.0, 2.0, 2.0])
    run.sit()
    assert run.steps == [10, 25, 30]
    assert run.ending == Ending("trained for 6ep", best_step=10)


def test_a_best_that_was_never_due_is_written_with_the_next_checkpoint(tmp_path: Path) -> None:
    run = Run(tmp_path, [3.0, 1.0, 2.0, 2.0])
    run.sit(policy=CheckpointPolicy(seconds=3600.0, share=1e-12))
    assert run.steps == [0, 10, 20]


def test_if_the_newest_is_damaged_the_best_as_of_the_one_before_is_still_there(tmp_path: Path) -> None:
    run = Run(tmp_path, [1.0, 2.0, 0.5])
    run.sit()
    assert run.steps == [5, 10, 15]  # 15 is the last and the best; 5 was the best when 10 was the last
    checkpoint_path(tmp_path / "checkpoints", 15).write_bytes(b"")
    run.sit()
    assert run.steps == [5, 10, 15]
    assert run.ending == Ending("trained for 3ep", best_step=15)


def test_patience_ends_the_training_and_a_later_session_reads_it_from_the_log(tmp_path: Path) -> None:
    run = Run(tmp_path, [1.0, 2.0, 2.0, 0.1], patience=2)
    run.sit()
    ending = Ending("the validation cross-entropy has not improved for 2 evaluations", best_step=5)
    assert run.ending == ending
    assert run.steps == [5, 10, 15]
    assert run.sit() == []
    assert run.ending == ending


def test_a_plateau_over_a_stop_is_that_of_an_uninterrupted_training(tmp_path: Path) -> None:
    losses = [3.0, 3.0, 3.0, 2.0, 2.0, 2.0]

    def state() -> TrainState:
        return make_state(schedule=Plateau(factor=0.5, patience=2).over(Duration.parse("6ep")))

    whole, stopped = (Run(tmp_path / name, losses) for name in ("whole", "stopped"))
    for run in (whole, stopped):
        run.folder.mkdir()
    expected = state()
    rates = [event.learning_rate for event in whole.sit(expected) if isinstance(event, StepDone)]
    assert rates[::5] == [0.05, 0.05, 0.05, 0.025, 0.025, 0.025]
    events = stopped.events(state())
    next(event for event in events if isinstance(event, SafePoint) and event.clock.step == 12)
    events.close()
    resumed = state()
    later = [event.learning_rate for event in stopped.sit(resumed) if isinstance(event, StepDone)]
    assert later == rates[12:]
    assert torch.equal(weights(resumed.model), weights(expected.model))
    assert without_wall(read_events(stopped.folder / "events.jsonl")) == without_wall(
        read_events(whole.folder / "events.jsonl")
    )


def test_patience_counts_over_a_stop(tmp_path: Path) -> None:
    run = Run(tmp_path, [1.0, 2.0, 2.0, 2.0, 0.1], patience=3)
    with contextlib.closing(run.events(make_state())) as events:
        for event in events:
            if isinstance(event, SafePoint) and event.clock.step == 12:
                break
    assert run.told("stopped") == [12]
    run.sit()
    assert run.told("evaluated") == [5, 10, 15, 20]
    assert run.told("stopped") == []


def test_a_break_at_a_safe_point_saves_and_one_elsewhere_does_not(tmp_path: Path) -> None:
    run = Run(tmp_path, [1.0, 2.0])
    with contextlib.closing(run.events(make_state())) as events:
        next(event for event in events if isinstance(event, SafePoint) and event.clock.step == 3)
    assert run.steps == [0, 3]
    with contextlib.closing(run.events(make_state())) as events:
        assert next(events).clock.step == 4
    assert run.steps == [0, 3]


def test_a_loss_that_is_not_finite_leaves_the_last_checkpoint_and_writes_the_best(tmp_path: Path) -> None:
    run = Run(tmp_path, [3.0, 1.0, 2.0, 2.0])
    with pytest.raises(TrainingError, match="at step 18"):
        run.sit(batches=MadeBatches(spoiled=(3, 2)), policy=CheckpointPolicy(seconds=3600.0, share=1e-12))
    assert run.steps == [0, 10]
    assert newest_checkpoint(tmp_path / "checkpoints")[1] == []


def test_the_log_up_to_a_checkpoint_survives_a_power_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record, synced, marks = tmp_path / "events.jsonl", [0], []
    fsync, replace = os.fsync, os.replace

    def sync(handle: int) -> None:
        fsync(handle)
        if record.exists() and os.path.samestat(os.fstat(handle), os.stat(record)):
            synced.append(record.stat().st_size)

    def rename(source: Path, target: Path) -> None:
        replace(source, target)
        marks.append((read_checkpoint(target).log_position.length, synced[-1]))

    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(os, "replace", rename)
    Run(tmp_path, [3.0, 1.0, 2.0]).sit()
    assert len(marks) == 4
    assert all(length <= on_disk for length, on_disk in marks)
    assert marks[-1][0] > marks[0][0]


def test_a_full_disk_is_a_sentence_and_the_last_checkpoint_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run(tmp_path, [3.0, 1.0, 2.0])
    written = []

    def full(file: Any, chunk: memoryview) -> None:
        written.append(len(chunk))
        if len(written) == 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        file.write(chunk)

    monkeypatch.setattr(files, "write_chunk", full)
    with pytest.raises(RunError, match="The disk is full"):
        run.sit()
    assert run.steps == [0, 5]
    assert [path.name for path in (tmp_path / "checkpoints").glob(".*")] == []
    run.sit()
    assert run.ending == Ending("trained for 3ep", best_step=10)
