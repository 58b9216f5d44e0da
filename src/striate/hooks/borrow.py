"""Borrow a model and bring it back as found."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn


@contextmanager
def borrow(model: nn.Module) -> Iterator[nn.Module]:
    """Within the block `model` is in eval mode, no parameter needs a gradient, autograd records; then all is as found.

    As found means, after success, an error and Ctrl-C alike: each module's train or eval mode and hooks, each
    parameter's and buffer's `requires_grad` and `.grad`, which tensors they are, the values of the buffers (a batch
    norm's statistics), torch's random state (on the CPU and the model's GPUs), and whether autograd records. The values
    of parameters are not kept: an explanation that changes weights works on a copy.

    Modes are set module by module, without calling `train()`, which some networks give effects of their own. One thread
    at a time may borrow a model.
    """
    found = _Found(model)
    gpus = {tensor.device.index for tensor in _tensors(model) if tensor.device.type == "cuda"}
    with torch.random.fork_rng(devices=sorted(gpus)), torch.inference_mode(False), torch.enable_grad():
        try:
            for module in model.modules():
                module.training = False
            for tensor in _tensors(model):
                tensor.requires_grad_(False)
                tensor.grad = None
            yield model
        finally:
            try:
                found.restore()
            except KeyboardInterrupt:  # the second Ctrl-C of an impatient hand, amid the bringing back
                found.restore()
                raise


def _tensors(model: nn.Module) -> list[Tensor]:
    """Parameters and buffers that are leaves of autograd's graph, each once."""
    return [tensor for tensor in chain(model.parameters(), model.buffers()) if tensor.is_leaf]


class _Found:
    """How a model was found. Taking it down changes nothing."""

    def __init__(self, model: nn.Module) -> None:
        modules = list(model.modules())
        self._modes = [(module, module.training) for module in modules]
        self._holders: list[tuple[dict[str, Any], dict[str, Any]]] = [
            (holder, dict(holder))
            for module in modules
            for holder in (*_hooks(module), module._parameters, module._buffers)
            if isinstance(holder, dict)
        ]
        self._backward_kinds = [(module, getattr(module, "_is_full_backward_hook", None)) for module in modules]
        self._gradients = [(tensor, tensor.requires_grad, tensor.grad) for tensor in _tensors(model)]
        self._values = [(buffer, buffer.detach().clone()) for buffer in model.buffers() if _writable(buffer)]

    def restore(self) -> None:
        for module, training in self._modes:
            module.training = training
        for holder, held in self._holders:
            if not _same(holder, held):
                holder.clear()
                holder.update(held)
        for module, kind in self._backward_kinds:
            module._is_full_backward_hook = kind
        # Batch norm changes its statistics without counting it, so whatever their version, they are written back; and
        # without counting that either: graphs that a caller has made of them remain good.
        counted = tuple(buffer for buffer, _ in self._values if not buffer.is_inference())
        with torch.inference_mode(), torch.autograd.grad_mode._unsafe_preserve_version_counter(counted):
            for buffer, value in self._values:
                buffer.copy_(value)
        for tensor, required, gradient in self._gradients:
            tensor.requires_grad_(required)
            tensor.grad = gradient


def _hooks(module: nn.Module) -> list[Any]:
    """The dictionaries in which torch keeps a module's hooks of every kind."""
    return [value for name, value in vars(module).items() if "_hooks" in name]


def _writable(tensor: Tensor) -> bool:
    """Whether each value has a place of its own, and so can be changed at all: those of an expanded tensor have not."""
    return all(step or size == 1 for step, size in zip(tensor.stride(), tensor.shape, strict=True))


def _same(holder: dict[Any, Any], held: dict[Any, Any]) -> bool:
    """Whether the same keys hold the same objects, in the same order."""
    return list(holder) == list(held) and all(holder[key] is value for key, value in held.items())
