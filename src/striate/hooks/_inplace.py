"""Taking a value out of a running network so that nothing later changes it and the gradient still passes through it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor


def version(tensor: Tensor) -> int:
    """How often a tensor was changed in place; tensors of inference mode do not count."""
    return 0 if tensor.is_inference() else tensor._version


def versions(args: Sequence[Any], kwargs: Mapping[str, Any]) -> list[tuple[Tensor, int]]:
    """The tensors that a call is given, with their versions."""
    return [(value, version(value)) for value in (*args, *kwargs.values()) if isinstance(value, Tensor)]


def tap(output: Tensor, before: Sequence[tuple[Tensor, int]], *, recording: bool) -> tuple[Tensor, Tensor]:
    """The value to keep of `output`, and the tensor with which the network goes on: a copy, made from the kept one.

    `before` are the tensors that made it, with their versions then. Where one of them is itself the output, others may
    hold it too, and the copies are laid so that it does not matter whether they go on with it or with what is returned:

        new value            kept = output                 onward = copy of kept
        input, unchanged     kept = copy of output         onward = copy of kept
        input, changed       kept = copy of output         onward = output, overwritten with (the same) kept

    `recording`: autograd recorded when the forward pass began. A network that runs its backbone under `no_grad` then
    still has a graph that begins at the kept value.
    """
    found = next((count for tensor, count in before if tensor is output), None)
    kept = output if found is None else output.clone()
    if recording and kept.is_floating_point() and not (kept.requires_grad or kept.is_inference()):
        kept.requires_grad_()
    if found is None or found == version(output):
        with torch.set_grad_enabled(recording):
            return kept, kept.clone()
    if kept.requires_grad:
        # The values are the same, so what the operation saved of its result is still true of it.
        with torch.autograd.grad_mode._unsafe_preserve_version_counter(output):
            output.copy_(kept)
    return kept, output
