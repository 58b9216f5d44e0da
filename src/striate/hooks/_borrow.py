"""Borrow a model and restore it as found."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from threading import Lock, RLock
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from striate.core.device import float32_convolutions
from striate.core.errors import ModelError


@contextmanager
def borrow(model: nn.Module) -> Iterator[nn.Module]:
    """Within the block, put `model` in eval mode with frozen parameters and autograd on; afterwards, restore it.

    Restored are, after success, an error and Ctrl-C alike: each module's train or eval mode and hooks, each parameter's
    and buffer's `requires_grad` and `.grad`, their identity, the values of the buffers (a batch norm's statistics),
    torch's random state (on the CPU and the model's GPUs), and whether autograd records. The values of parameters are
    not restored: an explanation that changes weights works on a copy. On a GPU, convolutions are computed in float32.

    Modes are set module by module, without calling `train()`, which some networks override with side effects. One
    thread at a time borrows a model, or models that share modules: another thread waits until they are restored. The
    thread that has borrowed a model may borrow it again.

    Raises:
        ModelError: a layer is lazy and has no weights yet.
    """
    _refuse_lazy(model)
    with _exclusive(model):
        found = _Found(model)
        gpus = {tensor.device.index for tensor in found.tensors if tensor.device.type == "cuda"}
        with ExitStack() as stack:
            stack.enter_context(float32_convolutions("cuda" if gpus else "cpu"))
            stack.enter_context(torch.random.fork_rng(devices=sorted(gpus)))
            stack.enter_context(torch.inference_mode(False))
            stack.enter_context(torch.enable_grad())
            try:
                found.calm()
                yield model
            finally:
                try:
                    found.restore()
                except KeyboardInterrupt:  # a second Ctrl-C during restore
                    found.restore()
                    raise


def _refuse_lazy(model: nn.Module) -> None:
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        if is_lazy(tensor):
            raise ModelError(
                f"Layer {name.rpartition('.')[0]!r} is lazy: it has no weights before it has seen data. Run the "
                "network once on a batch of images first."
            )


# The dictionaries in which torch keeps a module's hooks of every kind.
_HOOKS = tuple(name for name in vars(nn.Module()) if "_hooks" in name)
_KIND = "_is_full_backward_hook"


class _Found:
    """The state in which a model was found. Recording it changes nothing.

    Only what differs is set again: setting an attribute of a module is slow, and large networks have many modules.
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
        """Put all modules in eval mode; freeze all tensors and remove their gradients."""
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
        # Batch norm changes its statistics without raising their version, so they are always written back, and again
        # without raising it: graphs that a caller has built on them remain valid.
        counted = tuple(buffer for buffer, _ in self._values if not buffer.is_inference())
        with torch.inference_mode(), torch.autograd.grad_mode._unsafe_preserve_version_counter(counted):
            for buffer, value in self._values:
                buffer.copy_(value)
        for tensor, required, gradient in self._gradients:
            if tensor.requires_grad != required:
                with torch.inference_mode(tensor.is_inference()):  # required for tensors made in it
                    tensor.requires_grad_(required)
            if tensor.grad is not gradient:
                tensor.grad = gradient


def _holders(module: nn.Module) -> list[dict[Any, Any]]:
    """Return the dictionaries of a module's hooks, parameters and buffers.

    A scripted module keeps some of them elsewhere.
    """
    holders = vars(module)
    kept = [holders.get(name) for name in (*_HOOKS, "_parameters", "_buffers")]
    return [holder for holder in kept if isinstance(holder, dict)]


def _held(holder: Any) -> list[Tensor]:
    return [tensor for tensor in holder.values() if tensor is not None]


def _writable(tensor: Tensor) -> bool:
    """Whether each value has memory of its own, and so can be written: those of an expanded tensor do not."""
    return all(step or size == 1 for step, size in zip(tensor.stride(), tensor.shape, strict=True))


def _same(holder: dict[Any, Any], held: dict[Any, Any]) -> bool:
    """Whether the same keys hold the same objects, in the same order."""
    return list(holder) == list(held) and all(holder[key] is value for key, value in held.items())


_MAKING = Lock()
_LOCKS: WeakKeyDictionary[nn.Module, Any] = WeakKeyDictionary()
"""A re-entrant lock for each module that was ever borrowed.

It is not an attribute of the module, so that the module can still be copied and pickled. It is dropped with the module.
"""


@contextmanager
def _exclusive(model: nn.Module) -> Iterator[None]:
    """Within the block, keep other threads out of such a block for `model` or any module of it.

    The locks of all its modules are taken, always in the same order, so that two threads whose models share modules
    cannot deadlock.
    """
    with _MAKING:
        locks = {id(module): _LOCKS.setdefault(module, RLock()) for module in model.modules()}
    with ExitStack() as held:
        for _, lock in sorted(locks.items()):
            held.enter_context(lock)
        yield
