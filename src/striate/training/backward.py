"""Compute the gradient of a batch's mean loss, at once or by parts of the batch in parallel.

The operations of a small model are too short to be divided among threads: synchronization would dominate. So a plan may
divide the batch instead. Each part runs forward and backward in its own thread, and the gradients are added in the
order of the parts, so that every repetition computes the same sum. This is correct only if a sample's output does not
depend on the other samples and the forward pass draws no random numbers and updates no buffers (`is_samplewise`).
"""

from __future__ import annotations

import functools
from concurrent.futures import ThreadPoolExecutor

import torch
from jaxtyping import Float
from torch import Tensor, nn

from striate.core.batch import Batch
from striate.core.device import ExecutionPlan
from striate.tasks import Task

_SAMPLEWISE = (nn.Conv2d, nn.Linear, nn.ReLU, nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d, nn.Flatten, nn.Identity)


def is_samplewise(model: nn.Module) -> bool:
    """Return whether a batch may be divided: no module mixes samples, draws random numbers or updates buffers.

    Batch normalization mixes samples and updates buffers; dropout uses a generator that threads would share.
    """
    leaves = (module for module in model.modules() if next(module.children(), None) is None)
    return next(model.buffers(), None) is None and all(isinstance(leaf, _SAMPLEWISE) for leaf in leaves)


def backward(model: nn.Module, task: Task, batch: Batch, plan: ExecutionPlan) -> Float[Tensor, ""]:
    """Set `.grad` of the trainable parameters to the gradient of the loss of `batch` under `task`; return the loss.

    Clear the gradients first: existing ones are added to if the batch is whole, and replaced if it is divided.
    """
    images = plan.place(batch.images)
    batch = Batch(images, batch.targets.to(images.device, non_blocking=True), batch.index)
    if plan.parts == 1:
        mean = _loss(model, task, batch, plan)
        mean.backward()
        return mean.detach()
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]

    def part(piece: Batch) -> tuple[Tensor, tuple[Tensor | None, ...]]:
        mean = _loss(model, task, piece, plan) * (len(piece) / len(batch))
        return mean.detach(), torch.autograd.grad(mean, parameters, allow_unused=True)

    columns = (column.tensor_split(plan.parts) for column in (batch.images, batch.targets, batch.index))
    first, *others = [Batch(*piece) for piece in zip(*columns, strict=True) if len(piece[0])]
    waiting = [_threads(plan.parts - 1, plan.threads).submit(part, piece) for piece in others]
    value, gradients = part(first)
    for future in waiting:
        more, added = future.result()
        value = value + more
        for gradient, addend in zip(gradients, added, strict=True):
            if gradient is not None and addend is not None:
                gradient.add_(addend)
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = gradient
    return value


def _loss(model: nn.Module, task: Task, batch: Batch, plan: ExecutionPlan) -> Float[Tensor, ""]:
    with plan.autocast():
        return task.loss(model, batch)


@functools.cache
def _threads(count: int, threads: int) -> ThreadPoolExecutor:
    """Return `count` threads, each with `threads` of torch's own; they live as long as the process."""
    return ThreadPoolExecutor(count, "striate part", initializer=torch.set_num_threads, initargs=(threads,))
