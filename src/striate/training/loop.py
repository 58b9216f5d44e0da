"""The training loop: a generator of events."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Generator, Mapping

from striate.core.batch import Batch
from striate.core.duration import Clock, Duration
from striate.core.errors import TrainingError
from striate.core.protocols import Batches
from striate.training.captured import release
from striate.training.events import Evaluated, Event, MemoryShort, SafePoint, StepDone
from striate.training.shortage import takes_statistics
from striate.training.state import TrainState
from striate.training.update import average, step

EPOCH = Duration(1.0, "ep")


def train(
    state: TrainState,
    batches: Batches,
    *,
    until: Duration,
    evaluate: Callable[[], Mapping[str, float]] | None = None,
    every: Duration = EPOCH,
) -> Generator[Event, None, None]:
    """Train `state` until `until`, and yield events. Stop or save only at a `SafePoint`.

    `evaluate` is called at every multiple of `every` and at the end; it must not change the modes of the model. Between
    events, settings of the process and torch's random state are those of the caller.

    Raises:
        TrainingError: the loss is not finite, or `batches` and `state.clock` differ in the number of steps per epoch.
    """
    if len(batches) != state.clock.steps_per_epoch:
        raise TrainingError(
            f"An epoch of this training has {state.clock.steps_per_epoch} steps, and the data give {len(batches)} "
            "batches. Train on the same data with the same batch size."
        )
    state.begin()
    with contextlib.ExitStack() as stack:
        stack.callback(release, state.model)
        stream = stack.enter_context(contextlib.closing(_from(batches, state.clock)))
        then = time.perf_counter()
        while not until.reached(state.clock):
            before, plan = state.clock, state.plan
            with state.plan.in_effect():
                loss, rate = step(state, next(stream))
            now = time.perf_counter()
            state.clock, then = state.clock.tick(state.processes.mean(now - then)), now
            if state.plan.micro_batch != plan.micro_batch:
                yield MemoryShort(state.clock, state.plan.micro_batch or 0, normalized=takes_statistics(state.model))
            yield StepDone(state.clock, loss, rate)
            average(state, batches)
            if evaluate and (_due(every, before, state.clock) or until.reached(state.clock)):
                with state.plan.in_effect():
                    scores = evaluate()
                yield Evaluated(state.clock, scores)
            yield SafePoint(state.clock)


def _from(batches: Batches, clock: Clock) -> Generator[Batch, None, None]:
    """Yield all batches from the position of `clock` on, epoch after epoch."""
    epoch, start = clock.epoch, clock.step_in_epoch
    while True:
        yield from batches.epoch(epoch, start=start)
        epoch, start = epoch + 1, 0


def _due(every: Duration, before: Clock, now: Clock) -> bool:
    """Return whether a multiple of `every` lies between two clocks."""
    return int(every.progress(now)) > int(every.progress(before))
