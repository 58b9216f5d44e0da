"""A network as every explanation has it: lent, and given copies of what it may overwrite."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from striate.hooks import borrow


@contextmanager
def lent(model: nn.Module) -> Iterator[None]:
    """Within the block, `model` is borrowed (see `striate.hooks.borrow`), and works on copies of what it is given.

    Weights that were made in inference mode, through which autograd does not differentiate, are replaced by copies; the
    loan brings the weights themselves back.
    """
    with borrow(model):
        _replace_inference_tensors(model)
        if not isinstance(model, torch.jit.ScriptModule):  # which takes no hooks
            model.register_forward_pre_hook(_with_copies, prepend=True)  # it goes when the loan ends
        yield


def _replace_inference_tensors(model: nn.Module) -> None:
    copies: dict[Tensor, Tensor] = {}  # shared weights stay shared
    for module in model.modules():
        if isinstance(module, torch.jit.ScriptModule):
            continue
        for name, tensor in [*module._parameters.items(), *module._buffers.items()]:
            if tensor is None or not tensor.is_inference():
                continue
            if tensor not in copies:
                copy = tensor.detach().clone()
                is_parameter = isinstance(tensor, nn.Parameter)
                copies[tensor] = nn.Parameter(copy, requires_grad=False) if is_parameter else copy
            holder = module._parameters if name in module._parameters else module._buffers
            holder[name] = copies[tensor]  # pyright: ignore[reportArgumentType]


def _with_copies(model: nn.Module, given: tuple[Any, ...]) -> tuple[Any, ...]:
    """A network may overwrite what it is given, and autograd forbids it where that is differentiated."""
    with torch._C.DisableTorchFunction():  # this is no operation of the network's, and not counted as one
        return tuple(one.clone() if isinstance(one, Tensor) else one for one in given)
