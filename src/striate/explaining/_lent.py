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
    """Within the block, `model` is borrowed (see `striate.hooks.borrow`), and works on copies of what it is given."""
    with borrow(model):
        if not isinstance(model, torch.jit.ScriptModule):  # which takes no hooks
            model.register_forward_pre_hook(_with_copies, prepend=True)  # it goes when the loan ends
        yield


def _with_copies(model: nn.Module, given: tuple[Any, ...]) -> tuple[Any, ...]:
    """A network may overwrite what it is given, and autograd forbids it where that is differentiated."""
    with torch._C.DisableTorchFunction():  # this is no operation of the network's, and not counted as one
        return tuple(one.clone() if isinstance(one, Tensor) else one for one in given)
