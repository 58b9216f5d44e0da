"""The loop: a generator of events, on one page. Everyone else is a `for`."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Mapping

import torch

from striate.core.batch import Batch
from striate.core.duration import Clock, Duration
from striate.core.errors import TrainingError
from striate.core.protocols import Batches
from striate.training.events import Evaluated, Event, SafePoint, StepDone
from striate.training.state import TrainState
from striate.training.update import step

EPOCH = Duration(1.0, "ep")


def train(
    state: TrainState,
    batches: Batches,
    *,
    until: Duration,
    evaluate: Callable[[], Mapping[str, float]] | None = None,
    every: Duration = EPOCH,
) -> Generator[Event, None, None]:
    """Train from where `state` stands until `until`, telling what happens. Stop or save only at a `SafePoint`.

    `evaluate` is asked `every` so often, and at the end. It leaves the network in the mode in which it found it.
    Torch's global random state comes back when the generator ends or is closed.

    Raises:
        TrainingError: the loss is not finite, or `batches` does not divide epochs as `state.clock` does.
    """
    if len(batches) != state.clock.steps_per_epoch:
        raise TrainingError(
            f"An epoch of this training has {state.clock.steps_per_epoch} steps, and the data give {len(batches)} "
            "batches. Train on the same data with the same batch size."
        )
    accelerators = [] if state.plan.device == "cpu" else [state.plan.number]
    with torch.random.fork_rng(accelerators, device_type=state.plan.kind if accelerators else "cuda"):
        state.model.train()
        stream = _from(batches, state.clock)
        try:
            then = time.perf_counter()
            while not until.reached(state.clock):
                before = state.clock
                loss, rate = step(state, next(stream))
                now = time.perf_counter()
                state.clock, then = state.clock.tick(now - then), now
                yield StepDone(state.clock, loss, rate)
                if evaluate and (_due(every, before, state.clock) or until.reached(state.clock)):
                    yield Evaluated(state.clock, evaluate())
                yield SafePoint(state.clock)
        finally:
            stream.close()


def _from(batches: Batches, clock: Clock) -> Generator[Batch, None, None]:
    """All batches from the position of `clock` on, epoch after epoch."""
    epoch, start = clock.epoch, clock.step_in_epoch
    while True:
        yield from batches.epoch(epoch, start=start)
        epoch, start = epoch + 1, 0


def _due(every: Duration, before: Clock, now: Clock) -> bool:
    """Whether a multiple of `every` lies between two clocks."""
    return int(every.progress(now)) > int(every.progress(before))
