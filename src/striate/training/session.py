"""One sitting of a run: the training, its journal, its checkpoints and its early stopping, told as the same events."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from pathlib import Path

from striate.core.duration import Duration
from striate.core.errors import DataError, TrainingError
from striate.core.protocols import Batches
from striate.training.checkpoint_manager import Keeper, Publish, Saving
from striate.training.early_stopping import EarlyStopping
from striate.training.event_log import Journal, read_events
from striate.training.events import Evaluated, Event, SafePoint
from striate.training.loop import EPOCH, train
from striate.training.state import TrainState


@dataclass(frozen=True)
class Ending:
    """Why a training is over, and after how many steps it was best (None if it was never evaluated)."""

    reason: str
    best_step: int | None


def run_sitting(
    state: TrainState,
    batches: Batches,
    *,
    until: Duration,
    journal: Journal,
    checkpoints: Path,
    stopping: EarlyStopping,
    evaluate: Callable[[], Mapping[str, float]] | None = None,
    every: Duration = EPOCH,
    saving: Saving | None = None,
    publish: Publish | None = None,
) -> Generator[Event, None, Ending]:
    """Train `state` from where it stands, writing `journal` and `checkpoints`; yields the training's events.

    A first sitting passes a journal that holds what the run starts with. A later one passes a state brought back by
    `restore` and the journal cut back to that checkpoint's mark; `stopping` is new in both and notes the journal's
    evaluations. `publish` is called after each checkpoint that is written. A `break` at a `SafePoint` saves; anywhere
    else it leaves the last checkpoint as it is.

    Raises:
        TrainingError: the loss is not finite. The best checkpoint so far is written, the last one is untouched.
        DataError: an image can no longer be read. The training is saved where it stands.
        StriateError: a file cannot be written.
    """
    for event in read_events(journal.path):
        if event["event"] == "evaluated":
            stopping.note(event["clock"]["step"], event["scores"])
    keeper = Keeper(checkpoints, state, journal, saving or Saving(), stopping.best_step, publish)
    if state.clock.step == 0:
        keeper.save()  # so that a run killed before its first epoch is over keeps its plan
    if stopping.exhausted:
        return Ending(stopping.reason, stopping.best_step)
    with contextlib.closing(train(state, batches, until=until, evaluate=evaluate, every=every)) as events:
        best_now, event = False, None
        while (event := _next(events, keeper, event)) is not None:
            journal.record(event)
            if isinstance(event, Evaluated):
                best_now = stopping.note(event.clock.step, event.scores)
            elif isinstance(event, SafePoint):
                if best_now:
                    keeper.remember_best()
                best_now = False
                keeper.save_if_due()
            yield from _told(event, keeper, journal)
            if isinstance(event, SafePoint) and stopping.exhausted:
                break
    keeper.save()
    return Ending(stopping.reason if stopping.exhausted else f"trained for {until}", stopping.best_step)


def _next(events: Generator[Event, None, None], keeper: Keeper, last: Event | None) -> Event | None:
    """The event after `last`; before an error goes on, what is good is saved."""
    try:
        return next(events, None)
    except (TrainingError, KeyboardInterrupt):
        keeper.save_best()  # good weights, and perhaps the last good ones
        raise
    except DataError:
        if last is None or isinstance(last, SafePoint):
            keeper.save()
        else:  # an evaluation is owed
            keeper.save_best()
        raise


def _told(event: Event, keeper: Keeper, journal: Journal) -> Generator[Event, None, None]:
    """Yield `event`; if nobody reads on after a safe point, save."""
    try:
        yield event
    except GeneratorExit:
        if isinstance(event, SafePoint):
            keeper.save()
            journal.write("stopped", clock=event.clock)
        raise
