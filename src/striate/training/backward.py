"""Compute the gradient of a batch's mean loss: at once, piece after piece, or by parts in parallel.

The operations of a small model are too short to be divided among threads: synchronization would dominate. So a plan may
divide the batch instead. Each part runs forward and backward in its own thread, and the gradients are added in the
order of the parts, so that every repetition computes the same sum. This is correct only if a sample's output does not
depend on the other samples and the forward pass draws no random numbers and updates no buffers (`is_samplewise`).

Activations need memory in proportion to the images that are computed at once. A plan may bound their number: then the
gradients of pieces of the batch (micro-batches) are added, each weighted by its share of the images. The sum is the
gradient of the whole batch, except that batch normalization takes its statistics over each piece, and dropout draws
other masks than for the whole.

On a GPU, a plan may capture the computation of a batch and replay it (`training.captured`).
"""

from __future__ import annotations

import contextlib
import functools
from concurrent.futures import ThreadPoolExecutor

import torch
from jaxtyping import Float
from torch import Tensor, nn

from striate.core.batch import Batch
from striate.core.device import ExecutionPlan
from striate.tasks import Task
from striate.training.captured import replayed_gradient
from striate.training.recompute import recomputed

_SAMPLEWISE = (nn.Conv2d, nn.Linear, nn.ReLU, nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d, nn.Flatten, nn.Identity)


def is_samplewise(model: nn.Module) -> bool:
    """Return whether a batch may be divided: no module mixes samples, draws random numbers or updates buffers.

    Batch normalization mixes samples and updates buffers; dropout uses a generator that threads would share.
    """
    leaves = (module for module in model.modules() if next(module.children(), None) is None)
    return next(model.buffers(), None) is None and all(isinstance(leaf, _SAMPLEWISE) for leaf in leaves)


def backward(model: nn.Module, task: Task, batch: Batch, plan: ExecutionPlan) -> Float[Tensor, ""]:
    """Add the gradient of the loss of `batch` under `task` to `.grad` of the trainable parameters; return the loss.

    Both are multiplied by the weight of `batch`.
    """
    whole = len(batch) / batch.weight
    if plan.captured and not plan.recompute and batch.weight == 1.0 and piece_count(len(batch), plan.micro_batch) == 1:
        loss = replayed_gradient(model, task, _placed(batch, plan), plan)
        if loss is not None:
            return loss
    with recomputed(model) if plan.recompute else contextlib.nullcontext():
        first, *others = [_backward(model, task, piece, plan, whole) for piece in pieces(batch, plan.micro_batch)]
    return sum(others, first)


def pieces(batch: Batch, most: int | None) -> list[Batch]:
    """Divide `batch` into pieces of at most `most` images (see `piece_count`), of sizes as equal as possible."""
    count = piece_count(len(batch), most)
    return [batch] if count == 1 else _divided(batch, count)


def piece_count(count: int, most: int | None) -> int:
    """Return the smallest number of pieces of `count` images of which none has more than `most`.

    Unless `most` is 1, no piece has a single image: batch normalization has no variance over one image where its map is
    a single pixel. Where that is impossible otherwise, a piece has one image more than `most`.
    """
    number = 1 if most is None else -(-count // most)
    return number if most == 1 or count // number > 1 else max(1, count // 2)


def _divided(batch: Batch, count: int) -> list[Batch]:
    columns = (column.tensor_split(count) for column in (batch.images, batch.targets, batch.index))
    return [Batch(*piece) for piece in zip(*columns, strict=True) if len(piece[0])]


def _backward(model: nn.Module, task: Task, batch: Batch, plan: ExecutionPlan, whole: float) -> Float[Tensor, ""]:
    """Add the gradient of a piece of a batch of `whole` images, weighted by its share; return its share of the loss."""
    batch = _placed(batch, plan)
    if plan.parts == 1:
        mean = _loss(model, task, batch, plan, whole)
        mean.backward()
        return mean.detach()
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]

    def part(piece: Batch) -> tuple[Tensor, tuple[Tensor | None, ...]]:
        mean = _loss(model, task, piece, plan, whole)
        return mean.detach(), torch.autograd.grad(mean, parameters, allow_unused=True)

    first, *others = _divided(batch, plan.parts)
    waiting = [_threads(plan.parts - 1, plan.threads).submit(part, piece) for piece in others]
    value, gradients = part(first)
    for future in waiting:
        more, added = future.result()
        value = value + more
        for gradient, addend in zip(gradients, added, strict=True):
            if gradient is not None and addend is not None:
                gradient.add_(addend)
    for parameter, gradient in zip(parameters, gradients, strict=True):
        if parameter.grad is None or gradient is None:
            parameter.grad = gradient if parameter.grad is None else parameter.grad
        else:
            parameter.grad.add_(gradient)
    return value


def _placed(batch: Batch, plan: ExecutionPlan) -> Batch:
    images = plan.place(batch.images)
    return Batch(images, batch.targets.to(images.device, non_blocking=True), batch.index)


def _loss(model: nn.Module, task: Task, batch: Batch, plan: ExecutionPlan, whole: float) -> Float[Tensor, ""]:
    with plan.autocast():
        mean = task.loss(model, batch)
    return mean if len(batch) == whole else mean * (len(batch) / whole)


@functools.cache
def _threads(count: int, threads: int) -> ThreadPoolExecutor:
    """Return `count` threads, each with `threads` of torch's own; they live as long as the process."""
    return ThreadPoolExecutor(count, "striate part", initializer=torch.set_num_threads, initargs=(threads,))
