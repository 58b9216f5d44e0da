"""The gradient of a batch as a captured computation of a GPU: see `core.replay`.

A network may be captured if it computes the same operations for every batch. That is known of torch's and Striate's
layers; a module of a user may decide by numbers that a capture does not see.
"""

from __future__ import annotations

import weakref
from collections.abc import Hashable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from striate.core.batch import Batch
from striate.core.device import ExecutionPlan, out_of_memory
from striate.core.replay import Replayed
from striate.tasks import Task

_KNOWN = ("torch.nn.modules.", "striate.")
_KEPT = 2  # the batches of an epoch have one size, and the last batch another
_MOST = 64

Gradient = tuple[Tensor, tuple[Tensor | None, ...]]


def is_capturable(model: nn.Module) -> bool:
    """Return whether `model` consists of torch's and Striate's layers, without hooks."""
    return all(
        type(module).__module__.startswith(_KNOWN)
        and not (module._forward_hooks or module._forward_pre_hooks or module._backward_hooks)
        for module in model.modules()
    )


class _Captured:
    """The captured computations of a network, each for a shape of batches and a state of the network."""

    def __init__(self) -> None:
        self.replays: dict[Hashable, Replayed[Gradient]] = {}
        self.count = 0

    def find(self, model: nn.Module, task: Task, batch: Batch, plan: ExecutionPlan) -> Replayed[Gradient] | None:
        """Return the computation for `batch`, captured now if it is new; None if it cannot be captured."""
        key = _key(model, task, batch, plan)
        found = self.replays.pop(key, None)
        if found is None and self.count < _MOST:
            while len(self.replays) >= _KEPT:
                del self.replays[next(iter(self.replays))]
            found = self._capture(model, task, batch, plan)
        if found is not None:
            self.replays[key] = found
        return found

    def _capture(self, model: nn.Module, task: Task, batch: Batch, plan: ExecutionPlan) -> Replayed[Gradient] | None:
        self.count += 1
        parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]

        def gradient(images: Tensor, targets: Tensor) -> Gradient:
            with plan.autocast():
                loss = task.loss(model, Batch(images, targets, batch.index))
            return loss.detach(), torch.autograd.grad(loss, parameters, allow_unused=True)

        beside = next(iter(self.replays.values()), None)
        try:
            return Replayed(gradient, (batch.images, batch.targets), tuple(model.buffers()), beside)
        except RuntimeError as error:
            if out_of_memory(error):
                raise
            self.count = _MOST  # a loss or a layer waits for the GPU, and will do so again
            return None


_CAPTURED: weakref.WeakKeyDictionary[nn.Module, _Captured] = weakref.WeakKeyDictionary()


def release(model: nn.Module) -> None:
    """Free the memory of the captured computations of `model`."""
    _CAPTURED.pop(model, None)


def replayed_gradient(model: nn.Module, task: Task, batch: Batch, plan: ExecutionPlan) -> Float[Tensor, ""] | None:
    """Do what `backward` does, by a captured computation; None if there is none, and nothing is done.

    `batch` is on the GPU. Where a parameter has no gradient yet, it receives a tensor that the next batch overwrites.
    """
    if model not in _CAPTURED:
        _CAPTURED[model] = _Captured()
    replay = _CAPTURED[model].find(model, task, batch, plan)
    if replay is None:
        return None
    loss, gradients = replay(batch.images, batch.targets)
    parameters = (parameter for parameter in model.parameters() if parameter.requires_grad)
    for parameter, gradient in zip(parameters, gradients, strict=True):
        if gradient is not None:
            parameter.grad = gradient if parameter.grad is None else parameter.grad + gradient
    return loss.clone()


def _key(model: nn.Module, task: Task, batch: Batch, plan: ExecutionPlan) -> Hashable:
    """Return all that a captured computation takes for granted."""
    inputs = tuple((each.shape, each.stride(), each.dtype) for each in (batch.images, batch.targets))
    parameters = tuple((parameter.data_ptr(), parameter.requires_grad) for parameter in model.parameters())
    return inputs, parameters, tuple(module.training for module in model.modules()), id(task), plan
