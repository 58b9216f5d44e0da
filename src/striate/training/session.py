"""One session of a run: training with its event log, checkpoints and early stopping."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from pathlib import Path

from striate.core.duration import Duration
from striate.core.protocols import Batches
from striate.training.checkpoint_manager import CheckpointManager, CheckpointPolicy, Publish
from striate.training.early_stopping import EarlyStopping
from striate.training.event_log import EventLog, read_events
from striate.training.events import Evaluated, Event, SafePoint
from striate.training.loop import EPOCH, train
from striate.training.plateau import FollowsEvaluations
from striate.training.state import TrainState


@dataclass(frozen=True)
class Ending:
    """The reason for the end of a training, and the step of its best evaluation (None if it was never evaluated)."""

    reason: str
    best_step: int | None


def train_session(
    state: TrainState,
    batches: Batches,
    *,
    until: Duration,
    log: EventLog | None,
    checkpoints: Path,
    stopping: EarlyStopping,
    evaluate: Callable[[], Mapping[str, float]] | None = None,
    every: Duration = EPOCH,
    policy: CheckpointPolicy | None = None,
    publish: Publish | None = None,
) -> Generator[Event, None, Ending]:
    """Train `state` until `until`, write `log` and `checkpoints`, and yield the events of the training.

    The first session passes a log that holds the start of the run. A later one passes a state loaded by `restore`
    and the log truncated to the position of that checkpoint. In both, `stopping` and a schedule that follows
    evaluations are new and record the evaluations in the log. `publish` is called after each checkpoint. A `break` at a
    `SafePoint` saves; anywhere else the last checkpoint does not change. Of several processes, only the one that writes
    has a log, and all leave at the same `SafePoint`.

    Raises:
        TrainingError: the loss is not finite. The best checkpoint so far is written, the last one does not change.
        DataError: an image can no longer be read. The present state is saved, except in an evaluation or an average.
            Then the last checkpoint does not change.
        StriateError: a file cannot be written.
    """
    followed = state.schedule if isinstance(state.schedule, FollowsEvaluations) else None
    past = state.processes.once(lambda: read_events(log.path) if log is not None else [])
    stopping.recall(past)
    for event in past:
        if event["event"] == "evaluated" and followed is not None:
            followed.note(event["scores"])
    if stopping.exhausted:
        return Ending(stopping.reason, stopping.best_step)
    with contextlib.ExitStack() as stack:
        manager = None
        if log is not None:
            chosen = policy or CheckpointPolicy()
            manager = CheckpointManager(checkpoints, state, log, chosen, stopping.best_step, publish)
            stack.enter_context(manager)
        events = stack.enter_context(
            contextlib.closing(train(state, batches, until=until, evaluate=evaluate, every=every))
        )
        best_now = False
        for event in events:
            if isinstance(event, Evaluated):
                best_now = stopping.note(event.clock.step, event.scores)
                if followed is not None:
                    followed.note(event.scores)
            if manager is not None:
                manager.observe(event, best=best_now)
            if isinstance(event, SafePoint):
                best_now = False
            yield event
            if isinstance(event, SafePoint) and stopping.exhausted:
                break
    return Ending(stopping.reason if stopping.exhausted else f"trained for {until}", stopping.best_step)
