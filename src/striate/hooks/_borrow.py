"""Borrow a model and bring it back as found."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from striate.hooks._locks import alone_with


@contextmanager
def borrow(model: nn.Module) -> Iterator[nn.Module]:
    """Within the block `model` is in eval mode, no parameter needs a gradient, autograd records; then all is as found.

    As found means, after success, an error and Ctrl-C alike: each module's train or eval mode and hooks, each
    parameter's and buffer's `requires_grad` and `.grad`, which tensors they are, the values of the buffers (a batch
    norm's statistics), torch's random state (on the CPU and the model's GPUs), and whether autograd records. The values
    of parameters are not kept: an explanation that changes weights works on a copy.

    Modes are set module by module, without calling `train()`, which some networks give effects of their own. One thread
    at a time borrows a model, or models that share modules: another one waits until they are brought back. The thread
    that has borrowed a model may borrow it again.
    """
    with alone_with(model):
        found = _Found(model)
        gpus = {tensor.device.index for tensor in found.tensors if tensor.device.type == "cuda"}
        with torch.random.fork_rng(devices=sorted(gpus)), torch.inference_mode(False), torch.enable_grad():
            try:
                found.calm()
                yield model
            finally:
                try:
                    found.restore()
                except KeyboardInterrupt:  # the second Ctrl-C of an impatient hand, amid the bringing back
                    found.restore()
                    raise


# The dictionaries in which torch keeps a module's hooks of every kind.
_HOOKS = tuple(name for name in vars(nn.Module()) if "_hooks" in name)
_KIND = "_is_full_backward_hook"


class _Found:
    """How a model was found. Taking it down changes nothing.

    What is as it was is not set again: a module sets slowly, and large networks have many.
    """

    def __init__(self, model: nn.Module) -> None:
        modules = list(model.modules())
        self._modes = [(module, module.training, getattr(module, _KIND, None)) for module in modules]
        self._holders = [(holder, dict(holder)) for module in modules for holder in _holders(module)]
        buffers = dict.fromkeys(tensor for module in modules for tensor in _held(module._buffers))
        parameters = dict.fromkeys(tensor for module in modules for tensor in _held(module._parameters))
        self.tensors = [tensor for tensor in parameters | buffers if tensor.is_leaf]
        self._gradients = [(tensor, tensor.requires_grad, tensor.grad) for tensor in self.tensors]
        self._values = [(buffer, buffer.detach().clone()) for buffer in buffers if _writable(buffer)]

    def calm(self) -> None:
        """All modules in eval mode; nothing needs a gradient or holds one."""
        for module, training, _ in self._modes:
            if training:
                module.training = False
        for tensor, required, gradient in self._gradients:
            if required:
                tensor.requires_grad_(False)
            if gradient is not None:
                tensor.grad = None

    def restore(self) -> None:
        for module, training, kind in self._modes:
            if module.training != training:
                module.training = training
            if getattr(module, _KIND, None) != kind:
                setattr(module, _KIND, kind)
        for holder, held in self._holders:
            if (holder or held) and not _same(holder, held):
                holder.clear()
                holder.update(held)
        # Batch norm changes its statistics without counting it, so whatever their version, they are written back; and
        # without counting that either: graphs that a caller has made of them remain good.
        counted = tuple(buffer for buffer, _ in self._values if not buffer.is_inference())
        with torch.inference_mode(), torch.autograd.grad_mode._unsafe_preserve_version_counter(counted):
            for buffer, value in self._values:
                buffer.copy_(value)
        for tensor, required, gradient in self._gradients:
            if tensor.requires_grad != required:
                with torch.inference_mode(tensor.is_inference()):  # torch asks for it where they were made in it
                    tensor.requires_grad_(required)
            if tensor.grad is not gradient:
                tensor.grad = gradient


def _holders(module: nn.Module) -> list[dict[Any, Any]]:
    """Where a module keeps its hooks, parameters and buffers (a scripted one keeps some of them elsewhere)."""
    holders = vars(module)
    kept = [holders.get(name) for name in (*_HOOKS, "_parameters", "_buffers")]
    return [holder for holder in kept if isinstance(holder, dict)]


def _held(holder: Any) -> list[Tensor]:
    return [tensor for tensor in holder.values() if tensor is not None]


def _writable(tensor: Tensor) -> bool:
    """Whether each value has a place of its own, and so can be changed at all: those of an expanded tensor have not."""
    return all(step or size == 1 for step, size in zip(tensor.stride(), tensor.shape, strict=True))


def _same(holder: dict[Any, Any], held: dict[Any, Any]) -> bool:
    """Whether the same keys hold the same objects, in the same order."""
    return list(holder) == list(held) and all(holder[key] is value for key, value in held.items())
