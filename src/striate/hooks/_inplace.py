"""Take a value out of a running network so that nothing changes it later and the gradient still passes through it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor


def version(tensor: Tensor) -> int:
    """Return how often a tensor was changed in place; tensors made in inference mode do not count."""
    return 0 if tensor.is_inference() else tensor._version


def versions(args: Sequence[Any], kwargs: Mapping[str, Any]) -> list[tuple[Tensor, int]]:
    """Return the tensors among the arguments of a call, with their versions."""
    return [(value, version(value)) for value in (*args, *kwargs.values()) if isinstance(value, Tensor)]


def tap(output: Tensor, before: Sequence[tuple[Tensor, int]], *, recording: bool) -> tuple[Tensor, Tensor]:
    """Return the value to keep of `output`, and the tensor with which the network continues: a copy of the kept one.

    `before` are the tensors among the operation's inputs, with their versions before it ran. Where one of them is the
    output itself, other code may hold it too, and the copies are arranged so that it does not matter whether that code
    continues with it or with the returned tensor:

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
