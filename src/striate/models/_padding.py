"""The padding of strided convolutions by another rule than the model's own: NAME+same and NAME+symmetric.

`same` is TensorFlow's rule; `symmetric` pads both ends equally. Weights need the rule that they were trained with: on
maps with even sides the outputs of the two are shifted by a pixel. With a stride of 1 the rules are the same.
"""

from __future__ import annotations

from typing import Literal, TypeVar, get_args

from torch import nn

from striate.core.errors import ModelError, nearest
from striate.layers import Conv2dSame, MaxPool2dSame

Model = TypeVar("Model", bound=nn.Module)
Padding = Literal["same", "symmetric"]
_PADDINGS = get_args(Padding)


def split_padding(name: str) -> tuple[str, str | None]:
    """Split NAME+RULE; the rule is None without one."""
    base, plus, padding = name.partition("+")
    return base, padding if plus else None


def repad(network: Model, padding: str) -> Model:
    """Change the padding of strided convolutions and max poolings of `network` to a rule, in place; keep the weights.

    Raises:
        ModelError: there is no such rule.
    """
    if padding not in _PADDINGS:
        raise ModelError(f"A padding rule is {' or '.join(_PADDINGS)}. {nearest(padding, _PADDINGS)}")
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
