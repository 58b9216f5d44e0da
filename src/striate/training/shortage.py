"""Too little memory for a batch: compute it again, in pieces of half as many images, until one fits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from striate.core.batch import Batch
from striate.core.device import ExecutionPlan, out_of_memory
from striate.core.errors import TrainingError, first_line
from striate.training.backward import piece_count
from striate.training.captured import release
from striate.training.state import TrainState


def with_less_memory(state: TrainState, batch: Batch, gradient: Callable[[], float]) -> float:
    """Return `gradient()`, which computes the gradient of `batch` under `state.plan`.

    Where memory is short, the buffers of the model are restored, and the gradient is computed again under a plan with
    half the images at once, which later steps keep. `gradient` seeds torch's random numbers itself, and changes nothing
    else that it does not restore.

    Raises:
        TrainingError: memory is not enough for the smallest piece of a batch.
    """
    if state.buffers:
        torch._foreach_copy_(state.kept_buffers, state.buffers)  # pyright: ignore[reportPrivateImportUsage]
    while True:
        try:
            return gradient()
        except (RuntimeError, MemoryError) as error:
            if not out_of_memory(error):
                raise
            said = first_line(error)
            if state.processes.count > 1:  # the others wait for the gradient of this pass
                raise TrainingError(
                    f"Memory is not enough for {len(batch)} images at once in a process of several ({said}). Choose "
                    "memory.micro_batch, which divides the part of a process, smaller batches, or more processes."
                ) from error
        # Outside of the except block, which holds the tensors of the failed pass.
        state.optimizer.zero_grad()
        if state.buffers:
            torch._foreach_copy_(state.buffers, state.kept_buffers)  # pyright: ignore[reportPrivateImportUsage]
        state.plan = divided(state.plan, len(batch), state.model, said)


def divided(plan: ExecutionPlan, count: int, model: nn.Module, said: str) -> ExecutionPlan:
    """Return `plan` without captures, or with half as many images of a batch of `count` at once.

    `said` is the error of the short memory.

    Raises:
        TrainingError: it cannot be divided any more.
    """
    release(model)
    if plan.kind == "cuda":
        torch.cuda.empty_cache()
    if plan.captured:  # what is captured keeps its memory, so the whole batch may fit without
        return replace(plan, captured=False)
    now = -(-count // piece_count(count, plan.micro_batch))
    smallest = 2 if takes_statistics(model) else 1
    if now <= smallest:
        images = "a single image" if now == 1 else f"{now} images"
        remedy = "" if plan.recompute else "memory.recompute=true, "
        raise TrainingError(
            f"Memory is not enough for a training step with {images} at once ({said}). Choose {remedy}smaller images "
            "(--size) or a smaller model, or free memory. Earlier checkpoints are untouched."
        )
    return replace(plan, micro_batch=max(smallest, -(-now // 2)))


def takes_statistics(model: nn.Module) -> bool:
    """Return whether a batch normalization of `model` takes its statistics over the images of a pass."""
    return any(isinstance(module, _BatchNorm) and module.training for module in model.modules())
