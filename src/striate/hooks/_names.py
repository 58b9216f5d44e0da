"""One name for each operation, however a network's Python spells it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

_OTHER_SPELLINGS = {
    "clip": "clamp",
    "concat": "cat",
    "concatenate": "cat",
    "divide": "div",
    "max_pool1d_with_indices": "max_pool1d",
    "max_pool2d_with_indices": "max_pool2d",
    "max_pool3d_with_indices": "max_pool3d",
    "multiply": "mul",
    "rdiv": "div",
    "rsub": "sub",
    "rtruediv": "div",
    "subtract": "sub",
    "true_divide": "div",
    "truediv": "div",
}


def operation(function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> str:
    """Return the name of an operation: `F.relu`, `torch.relu_` and `Tensor.relu` are all "relu".

    A hardtanh from 0 to 6 is "relu6", because `nn.ReLU6` computes it so. Reading an attribute is "".
    """
    name = getattr(function, "__name__", "")
    if name == "__get__":
        return ""
    name = name.strip("_")
    if name == "hardtanh" and (args[1:3] or (kwargs.get("min_val"), kwargs.get("max_val"))) == (0, 6):
        return "relu6"
    return _OTHER_SPELLINGS.get(name, name)


def in_place(function: Callable[..., Any], kwargs: Mapping[str, Any]) -> bool:
    """Whether a call changes its first argument: a name that ends in one underscore, or `inplace=True`."""
    name = getattr(function, "__name__", "")
    return name == "__setitem__" or (name.endswith("_") and not name.endswith("__")) or bool(kwargs.get("inplace"))


def computed(output: Any) -> bool:
    """Whether a function of torch returned one map or several, not a shape, number or mask; only maps are counted."""
    first = output[0] if isinstance(output, (tuple, list)) and output else output
    return isinstance(first, Tensor) and first.is_floating_point()
