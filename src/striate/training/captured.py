"""The gradient of a batch as a captured computation of a GPU: see `core.replay`.

A network, its loss and its task may be captured if they compute the same operations for every batch. That is known of
torch's and Striate's; those of a user may decide by numbers that a capture does not see.
"""

from __future__ import annotations

import weakref
from collections.abc import Hashable

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from striate.core.batch import Batch
from striate.core.device import ExecutionPlan, out_of_memory
from striate.core.replay import Replayed
from striate.tasks import OfImages, Task

_KNOWN = ("torch.nn.", "striate.")
_KEPT = 2  # the batches of an epoch have one size, and the last batch another
_MOST = 64

Gradient = tuple[Tensor, tuple[Tensor | None, ...]]


def is_capturable(model: nn.Module, task: Task) -> bool:
    """Return whether `model` consists of torch's and Striate's layers, without hooks, and so does the loss of `task`.

    A batch norm without momentum reads its number of batches, and a loss with a teacher has a network of its own: they
    are not captured.
    """
    criterion = task.criterion
    return (
        _is_known(task)
        and not isinstance(criterion, OfImages)
        and (criterion is None or _is_known(getattr(criterion, "func", criterion)))
        and all(_is_known(module) and not _is_hooked(module) and not _counts(module) for module in model.modules())
    )


def _is_known(thing: object) -> bool:
    """Return whether a function, or the class of an object, is torch's or Striate's."""
    own = thing if hasattr(thing, "__qualname__") else type(thing)
    return str(own.__module__).startswith(_KNOWN)


def _is_hooked(module: nn.Module) -> bool:
    return bool(module._forward_hooks or module._forward_pre_hooks or module._backward_hooks)


def _counts(module: nn.Module) -> bool:
    return isinstance(module, _BatchNorm) and module.track_running_stats and module.momentum is None


class _Captured:
    """The captured computations of a network, each for a shape of batches and a state of the network.

    They are kept with their task, so that its identity is that of no other.
    """

    def __init__(self) -> None:
        self.replays: dict[Hashable, tuple[Task, Replayed[Gradient]]] = {}
        self.count = 0

    def find(self, model: nn.Module, task: Task, batch: Batch, plan: ExecutionPlan) -> Replayed[Gradient] | None:
        """Return the computation for `batch`, captured now if it is new; None if it cannot be captured."""
        if self.count >= _MOST:
            return None
        key = _key(model, task, batch, plan)
        kept = self.replays.pop(key, None)
        if kept is not None:
            self.replays[key] = kept
            return kept[1]
        while len(self.replays) >= _KEPT:
            del self.replays[next(iter(self.replays))]
        found = self._capture(model, task, batch, plan)
        if found is not None:
            self.replays[key] = task, found
        return found

    def _capture(self, model: nn.Module, task: Task, batch: Batch, plan: ExecutionPlan) -> Replayed[Gradient] | None:
        self.count += 1
        parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]

        def gradient(images: Tensor, targets: Tensor) -> Gradient:
            with plan.autocast():
                loss = task.loss(model, Batch(images, targets, batch.index))
            return loss.detach(), torch.autograd.grad(loss, parameters, allow_unused=True)

        _, beside = next(iter(self.replays.values()), (None, None))
        try:
            if is_capturable(model, task):
                return Replayed(gradient, (batch.images, batch.targets), tuple(model.buffers()), beside)
        except RuntimeError as error:
            if out_of_memory(error):
                raise
        self.count = _MOST  # it will be no other next time
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
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    before = [None if parameter.grad is None else parameter.grad.clone() for parameter in parameters]
    loss, gradients = replay(batch.images, batch.targets)
    for parameter, known, gradient in zip(parameters, before, gradients, strict=True):
        if gradient is not None:
            parameter.grad = gradient if known is None else known.add_(gradient)
        elif known is not None:
            parameter.grad = known
    return loss.clone()


def _key(model: nn.Module, task: Task, batch: Batch, plan: ExecutionPlan) -> Hashable:
    """Return all that a captured computation takes for granted."""
    inputs = tuple((each.shape, each.stride(), each.dtype) for each in (batch.images, batch.targets))
    parameters = tuple((parameter.data_ptr(), parameter.requires_grad) for parameter in model.parameters())
    modules = tuple((module.training, _is_hooked(module)) for module in model.modules())
    return inputs, parameters, modules, id(task), plan
