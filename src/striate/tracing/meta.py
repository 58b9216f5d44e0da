"""A copy of a module on the meta device, which holds shapes and no data.

`copy.deepcopy` makes some twenty checks for each attribute of each module. What nearly all modules hold (numbers,
strings, other modules, tensors) is copied here by its type, three times as fast; everything else is left to deepcopy.
"""

from __future__ import annotations

import copy
from collections import OrderedDict
from typing import Any

import torch
from torch import Tensor, nn

Memo = dict[int, Any]

_FIXED = {int, float, complex, bool, str, bytes, type(None), type, torch.dtype, torch.device}  # returned as they are


def meta_copy(model: nn.Module) -> nn.Module:
    """Copy `model` to the meta device, in eval mode and without its hooks."""
    memo: Memo = {}
    modules = list(model.modules())
    for module in modules:
        for holder in (module._parameters, module._buffers, module.__dict__):
            for value in holder.values():
                if isinstance(value, nn.Parameter):
                    memo[id(value)] = nn.Parameter(value.detach().to("meta"), requires_grad=False)
                elif isinstance(value, Tensor):
                    memo[id(value)] = value.detach().to("meta")
        for name, value in vars(module).items():
            if _holds_hooks(name, value):
                memo[id(value)] = OrderedDict()
    for module in reversed(modules):  # those inside others come first
        if id(module) not in memo:
            _copy(module, memo) if _is_usual(module) else copy.deepcopy(module, memo)
    return memo[id(model)].eval()


def floating_type(model: nn.Module) -> torch.dtype:
    """Return the type of the numbers that `model` computes with."""
    return next((p.dtype for p in model.parameters() if p.is_floating_point()), torch.float32)


def _holds_hooks(name: str, value: object) -> bool:
    """Whether the attribute holds hooks, or flags of them: `_forward_hooks`, `_forward_hooks_with_kwargs`."""
    return "_hooks" in name and isinstance(value, OrderedDict)


def _is_usual(module: nn.Module) -> bool:
    """Whether deepcopy would copy the module by its state, attribute by attribute."""
    kind = type(module)
    if hasattr(kind, "__deepcopy__") or kind.__getstate__ is not nn.Module.__getstate__:
        return False
    return (kind.__reduce_ex__, kind.__reduce__) == (object.__reduce_ex__, object.__reduce__)


def _copy(module: nn.Module, memo: Memo) -> None:
    """Copy the state into a new module that was not initialised, as deepcopy does."""
    memo[id(module)] = made = type(module).__new__(type(module))
    made.__setstate__({name: _value(value, memo) for name, value in module.__getstate__().items()})


def _value(value: Any, memo: Memo) -> Any:
    if type(value) in _FIXED or (type(value) is tuple and all(type(item) in _FIXED for item in value)):
        return value
    if type(value) is dict:  # parameters, buffers and modules by name
        return {key: _value(held, memo) for key, held in value.items()}
    if type(value) is set and not value:
        return set()
    known = memo.get(id(value))
    return copy.deepcopy(value, memo) if known is None else known
