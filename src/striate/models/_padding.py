"""The padding of strided convolutions and max poolings by another rule than the model's own.

NAME+same is TensorFlow's rule; NAME+symmetric pads both ends equally. Weights need the rule that they were trained
with: on maps with even sides the outputs of the two are shifted by a pixel. With a stride of 1 the rules are the same.
Windows that are not padded, and those of even sides, stay as they are.
"""

from __future__ import annotations

from typing import Literal, TypeVar, get_args

from torch import nn

from striate.core.errors import ModelError, nearest
from striate.layers import Conv2dSame, MaxPool2dSame

Model = TypeVar("Model", bound=nn.Module)
Sizes = tuple[int, ...]
Padding = Literal["same", "symmetric"]
_PADDINGS = get_args(Padding)


def split_padding(name: str) -> tuple[str, str | None]:
    """Split NAME+RULE; the rule is None without one."""
    base, plus, padding = name.partition("+")
    return base, padding if plus else None


def repad(network: Model, padding: str) -> Model:
    """Change the padding of strided convolutions and max poolings of `network` to a rule, in place; keep the weights.

    Windows of even sides stay as they are: padded equally at both ends, they have other numbers of places.

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
    """Return the module that pads by the other rule; None where there is nothing to replace.

    A derived class stays as it is: what else it does is not known.
    """
    same = isinstance(module, (Conv2dSame, MaxPool2dSame))
    if same == (padding == "same"):
        return None
    if isinstance(module, nn.Conv2d) and type(module) in (nn.Conv2d, Conv2dSame):
        half = _half(module.kernel_size, module.stride, module.dilation)
        if half is None or not (same or module.padding == half):
            return None
        settings = dict(dilation=module.dilation, groups=module.groups, bias=module.bias is not None)
        sides = module.in_channels, module.out_channels, module.kernel_size, module.stride
        other = nn.Conv2d(*sides, padding=half, **settings) if same else Conv2dSame(*sides, **settings)  # pyright: ignore[reportArgumentType]
        other.weight, other.bias = module.weight, module.bias
        return other
    if type(module) is MaxPool2dSame:
        half = _half(module.kernel_size, module.stride)
        return None if half is None else nn.MaxPool2d(module.kernel_size, module.stride, padding=half)
    if type(module) is nn.MaxPool2d and _pair(module.dilation) == (1, 1):
        kernel, stride = _pair(module.kernel_size), _pair(module.stride)
        padded = _pair(module.padding) == _half(kernel, stride)
        return MaxPool2dSame(kernel, stride) if padded else None
    return None


def _half(kernel: Sizes, stride: Sizes, dilation: Sizes = (1, 1)) -> Sizes | None:
    """Return the padding at both ends with which a strided window has the places of the rule `same`.

    None where the rules do not differ, and for windows of even sides, for which there is no such padding.
    """
    if max(stride) == 1 or max(kernel) == 1 or not all(side % 2 for side in kernel):
        return None
    return tuple(step * (side - 1) // 2 for side, step in zip(kernel, dilation, strict=True))


def _pair(value: int | tuple[int, ...]) -> tuple[int, int]:
    first, second = (value, value) if isinstance(value, int) else value
    return first, second
