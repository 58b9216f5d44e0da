"""The padding of strided convolutions by another rule than the model's own: NAME+same and NAME+symmetric.

Weights that were trained with TensorFlow's "same" rule need it, and weights that were trained with both ends padded
alike need that; on maps with even sides the two shift each other by a pixel. With a stride of 1 they are the same.
"""

from __future__ import annotations

from typing import TypeVar

from torch import nn

from striate.core.errors import ModelError, nearest
from striate.layers import Conv2dSame, MaxPool2dSame

Model = TypeVar("Model", bound=nn.Module)
PADDINGS = ("same", "symmetric")


def split_padding(name: str) -> tuple[str, str | None]:
    """Split NAME+RULE; the rule is None without one."""
    base, plus, padding = name.partition("+")
    return (base, padding) if plus else (name, None)


def repad(network: Model, padding: str) -> Model:
    """Let the strided convolutions and max poolings of `network` pad by a rule, in place; weights stay as they are.

    Raises:
        ModelError: there is no such rule.
    """
    if padding not in PADDINGS:
        raise ModelError(f"A padding rule is {' or '.join(PADDINGS)}. {nearest(padding, PADDINGS)}")
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            replaced = _replaced(child, padding)
            if replaced is not None:
                setattr(parent, name, replaced)
    return network


def _replaced(module: nn.Module, padding: str) -> nn.Module | None:
    """Return the module that pads by the other rule; None where there is nothing to replace."""
    if isinstance(module, nn.Conv2d) and max(module.stride) > 1 and min(module.kernel_size) > 1:
        half = tuple(side // 2 for side in module.kernel_size)
        same = isinstance(module, Conv2dSame)
        if same == (padding == "same") or not (same or module.padding == half):
            return None
        settings = dict(dilation=module.dilation, groups=module.groups, bias=module.bias is not None)
        sides = module.in_channels, module.out_channels, module.kernel_size, module.stride
        other = nn.Conv2d(*sides, padding=half, **settings) if same else Conv2dSame(*sides, **settings)  # pyright: ignore[reportArgumentType]
        other.weight, other.bias = module.weight, module.bias
        return other
    if isinstance(module, MaxPool2dSame) and padding == "symmetric":
        return nn.MaxPool2d(module.kernel_size, module.stride, padding=tuple(side // 2 for side in module.kernel_size))
    return None
