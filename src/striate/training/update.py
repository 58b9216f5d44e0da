"""One update: the one seam through which precision, clipping, penalties and constraints enter the training."""

from __future__ import annotations

import math

import torch

from striate.core.backward import backward
from striate.core.batch import Batch
from striate.core.errors import TrainingError
from striate.training.state import TrainState


def step(state: TrainState, batch: Batch) -> tuple[float, float]:
    """Learn from one batch; the clock is the loop's. Returns the loss before the update and the learning rate of it.

    The loss is what is made small: with auxiliary classifiers it holds theirs.

    Raises:
        TrainingError: the loss is not a finite number; no weight has been changed by this step.
    """
    # Dropout and the like draw from torch's global generator: set by the step's number, it need never be replayed.
    state.plan.seed(state.noise.torch_seed(state.clock.step))
    state.optimizer.zero_grad()
    images = state.plan.place(batch.images)
    targets = batch.targets.to(images.device, non_blocking=True)
    loss = backward(state.model, state.loss, images, targets, state.plan, auxiliary=state.auxiliary)
    value = loss.item()  # an accelerator is waited for here
    rate = _set_learning_rate(state)
    if not math.isfinite(value):
        raise TrainingError(
            f"The loss became {value} at step {state.clock.step + 1} with a learning rate of {rate:.3g}. "
            "Lower the learning rate, or bound the gradient (optimizer.clip_norm=1); if it happens at the first "
            "steps, look at the data's values. Earlier checkpoints are untouched."
        )
    if state.clip_norm is not None:
        torch.nn.utils.clip_grad_norm_(state.parameters, state.clip_norm)
    if state.l1:
        _add_l1(state)
    state.optimizer.step()
    for module in state.constrained:
        module.project_()
    return value, rate


def _set_learning_rate(state: TrainState) -> float:
    factor = state.schedule(state.clock)
    for group in state.optimizer.param_groups:
        group["lr"] = group["initial_lr"] * factor
    return state.optimizer.param_groups[0]["lr"]


@torch.no_grad()
def _add_l1(state: TrainState) -> None:
    """Add the gradient of l1 · Σ|w|. After the clipping, which bounds what the data say, as it is for L2."""
    for weight in state.weights:
        if weight.grad is not None:
            weight.grad.add_(weight.sign(), alpha=state.l1)
