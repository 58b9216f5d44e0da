"""One update of the weights, and of their average."""

from __future__ import annotations

import math

from striate.core.batch import Batch
from striate.core.errors import TrainingError
from striate.core.protocols import Batches
from striate.training.backward import backward
from striate.training.combine import combine, combine_statistics
from striate.training.gradients import bound, change, sharpen
from striate.training.shortage import with_less_memory
from striate.training.state import TrainState


def step(state: TrainState, batch: Batch) -> tuple[float, float]:
    """Update the weights on one batch; return the loss before the update, auxiliary terms included, and the rate.

    The clock is not advanced.

    Raises:
        TrainingError: the loss is not a finite number, or memory is not enough for a single image; this step has
            changed no weight.
    """
    if state.staged:
        state.thaw()
    rate = _set_learning_rate(state)
    value = with_less_memory(state, batch, lambda: _gradient(state, batch, rate))
    change(state)
    state.optimizer.step()
    bound(state)
    return value, rate


def _gradient(state: TrainState, batch: Batch, rate: float) -> float:
    """Compute the gradient of `batch`, and return its loss."""
    state.seed_step()
    state.optimizer.zero_grad()
    loss = backward(state.model, state.task, batch, state.plan)
    loss = combine(state.processes, state.model, state.parameters, loss, batch.weight)
    value = loss.item()  # waits for an accelerator
    if not math.isfinite(value):
        raise TrainingError(
            f"The loss became {value} at step {state.clock.step + 1} with a learning rate of {rate:.3g}. "
            "Lower the learning rate, or bound the gradient (optimizer.clip_norm=1); if it happens at the first "
            "steps, look at the data's values. Earlier checkpoints are untouched."
        )
    if state.sharpness:
        sharpen(state, batch)
    return value


def average(state: TrainState, batches: Batches) -> None:
    """Let the weights after an update enter the average of the training, where they are due.

    Batch-norm statistics that an average recomputes are those of the next epoch of `batches`.
    """
    averaged = state.averaged
    if averaged is None or not averaged.average.due(state.clock, state.length):
        return
    with state.plan.in_effect():
        averaged.enter(state.model)
        if averaged.average.recomputed:
            averaged.recompute(state.model, state.task, batches.epoch(state.clock.epoch), state.plan)
            combine_statistics(state.processes, averaged.model)


def _set_learning_rate(state: TrainState) -> float:
    factor = state.schedule(state.clock)
    for group in state.optimizer.param_groups:
        own = state.schedules.get(group.get("end", 1.0))
        group["lr"] = group["initial_lr"] * (factor if own is None else own(state.clock))
    return state.optimizer.param_groups[0]["lr"]
