"""Rules that change the gradient of a batch before the update, and bounds of the weights after it."""

from __future__ import annotations

import torch
from torch.nn.utils import clip_grad_norm_, clip_grad_value_, get_total_norm

from striate.core.batch import Batch
from striate.core.rng import Stream
from striate.training.backward import backward
from striate.training.combine import combine
from striate.training.state import TrainState


@torch.no_grad()
def sharpen(state: TrainState, batch: Batch) -> None:
    """Replace the gradient g of `batch` by that at the weights w + ρ g / ‖g‖, and return to w.

    Sharpness-aware minimization (Foret et al. 2020, arXiv:2010.01412, eq. 2 and 3): the second pass of two. Both drop
    the same units, and buffers, such as batch-norm statistics, are those after the first.
    """
    assert state.sharpness is not None
    moved = [parameter for parameter in state.parameters if parameter.grad is not None]
    ways = [parameter.grad for parameter in moved if parameter.grad is not None]
    weights, buffers = ([value.clone() for value in values] for values in (moved, state.model.buffers()))
    scale = state.sharpness / (get_total_norm(ways) + 1e-12)
    try:
        for parameter, way in zip(moved, ways, strict=True):
            parameter.add_(way * scale)
        state.optimizer.zero_grad()
        state.seed_step()
        with torch.enable_grad():
            loss = backward(state.model, state.task, batch, state.plan)
        combine(state.processes, state.model, state.parameters, loss, batch.weight)
    finally:
        for parameter, weight in zip(moved, weights, strict=True):
            parameter.copy_(weight)
        for buffer, value in zip(state.model.buffers(), buffers, strict=True):
            buffer.copy_(value)


def change(state: TrainState) -> None:
    """Clip the gradient, by value and then by norm, and add noise and penalties.

    Clipping bounds the gradient of the data alone: L1, as L2, is added after it.
    """
    if state.clip_value is not None:
        clip_grad_value_(state.parameters, state.clip_value)
    if state.clip_norm is not None:
        clip_grad_norm_(state.parameters, state.clip_norm)
    if state.gradient_noise:
        _add_noise(state)
    if state.l1:
        _add_l1(state)


@torch.no_grad()
def bound(state: TrainState) -> None:
    """Shorten each filter and each row of a weight matrix to the norm `max_norm`, then project other constraints.

    Srebro and Shraibman 2005, "Rank, trace-norm and max-norm"; of networks Srivastava et al. 2014, JMLR 15, section
    5.1.
    """
    if state.max_norm is not None:
        for weight in state.weights:
            if weight.requires_grad:  # layers that are still frozen keep their weights
                weight.renorm_(2, 0, state.max_norm)
    for module in state.constrained:
        module.project_()


@torch.no_grad()
def _add_noise(state: TrainState) -> None:
    """Add normal noise of variance η / (1 + step)^0.55 (Neelakantan et al. 2015, arXiv:1511.06807, section 3).

    It is a function of seed and step, and is drawn in the same order for every memory layout.
    """
    stream = Stream(state.seed, "training.gradient_noise")
    generator = stream.torch_generator((state.clock.step,), state.plan.device)
    deviation = (state.gradient_noise / (1 + state.clock.step) ** 0.55) ** 0.5
    for parameter in state.parameters:
        if parameter.grad is not None:
            noise = torch.randn(parameter.shape, generator=generator, device=parameter.device)
            parameter.grad.add_(noise, alpha=deviation)


@torch.no_grad()
def _add_l1(state: TrainState) -> None:
    """Add the gradient of l1 · Σ|w|."""
    for weight in state.weights:
        if weight.grad is not None:
            weight.grad.add_(weight.sign(), alpha=state.l1)
