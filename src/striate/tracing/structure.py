"""Detect any change in how a network is built: its modules, their attributes and tensors.

Tensors are compared by identity; writes into them are not detected here.
"""

from __future__ import annotations

import enum
import functools
import operator
from collections import OrderedDict
from dataclasses import fields, is_dataclass
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any

import torch
from torch import Tensor, nn

# The attributes that every module has: tensors and modules by name, which are compared separately, hooks, and the mode.
_COMMON = frozenset(vars(nn.Module()))
_FIXED = {int, bool, float, complex, str, bytes, type(None), torch.dtype, torch.device, torch.Size, torch.memory_format}
_ONE = (type, FunctionType, BuiltinFunctionType, enum.Enum, Tensor, torch._ops.OpOverload)  # compared by identity
_CONTAINERS = (tuple, list, dict, OrderedDict)


class Unwatchable(Exception):  # noqa: N818 (no error of the user's: such a network runs as it is)
    """A network holds something whose changes cannot be detected; the message is the end of a sentence."""


class Structure:
    """How a network is built: two are equal where nothing but the numbers in its tensors may differ."""

    def __init__(self, model: nn.Module) -> None:
        self._entries: list[object] = []
        self._held: list[object] = []  # what is compared by identity
        self._modules = {id(module) for module in model.modules()}
        for module in model.modules():
            self._module(module)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Structure) or self._entries != other._entries:
            return False
        return len(self._held) == len(other._held) and all(map(operator.is_, self._held, other._held))

    __hash__ = None  # pyright: ignore[reportAssignmentType]

    def _module(self, module: nn.Module) -> None:
        self._held += (module, type(module), type(module).forward)
        for held in (module._modules, module._parameters, module._buffers):
            self._entries += held
            self._held += held.values()
        attributes = vars(module)
        for name in attributes.keys() - _COMMON:
            self._entries.append(name)
            self._value(attributes[name], module, name, top=True)

    def _value(self, value: Any, module: nn.Module, name: str, *, top: bool = False) -> None:
        kind = type(value)
        if _is_fixed(value):
            self._entries += (kind, value)
        elif self._is_one(value, top=top):
            self._held.append(value)
        elif kind in _CONTAINERS or (isinstance(value, tuple) and hasattr(value, "_fields")):
            self._entries += (kind, len(value))
            for item in value.items() if isinstance(value, dict) else value:
                self._value(item, module, name)
        elif isinstance(value, (functools.partial, MethodType)):
            for part in _parts(value):
                self._value(part, module, name)
        elif is_dataclass(value):
            self._held.append(kind)
            for each in fields(value):
                self._value(getattr(value, each.name), module, name)
        else:
            held = f"{type(module).__name__}.{name} holds a {kind.__name__}"
            raise Unwatchable(f"{held}, whose changes cannot be seen")

    def _is_one(self, value: Any, *, top: bool) -> bool:
        """Return whether the value is compared by identity: a constant, a module of the network, a tensor."""
        if isinstance(value, nn.Module):
            return id(value) in self._modules
        return isinstance(value, _ONE) and (top or not isinstance(value, Tensor))


def structure(model: nn.Module) -> Structure:
    """Record how `model` is built now.

    Raises:
        Unwatchable: it holds something else than modules, tensors, numbers, strings, functions, and containers of them.
    """
    return Structure(model)


def _is_fixed(value: Any) -> bool:
    """Return whether equal values are the same: numbers and strings, and tuples and sets of them."""
    kind = type(value)
    return kind in _FIXED or (kind in (tuple, frozenset, set) and all(type(item) in _FIXED for item in value))


def _parts(value: functools.partial[Any] | MethodType) -> tuple[object, ...]:
    if isinstance(value, MethodType):
        return value.__func__, value.__self__
    return value.func, value.args, value.keywords
