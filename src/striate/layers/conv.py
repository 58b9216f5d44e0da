"""Convolutions that torch does not have: with TensorFlow's "same" padding, separable ones, and products for 1×1."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from striate.core.protocols import LayerRole
from striate.layers.same import same_padding

Pair = tuple[int, int]


class Conv2dSame(nn.Conv2d):
    """A convolution of ceil(h / stride) × ceil(w / stride) places, padded with zeros by TensorFlow's rule.

    With `groups` the number of channels it is TensorFlow's depthwise convolution.
    """

    layer_role = LayerRole.CONVOLUTION

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Pair,
        stride: int | Pair = 1,
        dilation: int | Pair = 1,
        groups: int = 1,
        bias: bool = True,
    ) -> None:
        super().__init__(in_channels, out_channels, kernel_size, stride, 0, dilation, groups, bias)

    def forward(self, input: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k y x"]:
        padded, padding = _pad(self, input)
        return F.conv2d(padded, self.weight, self.bias, self.stride, padding, self.dilation, self.groups)


class Pointwise(nn.Linear):
    """A 1×1 convolution, computed as one matrix product over all positions of a map with its channels last.

    For maps with this order in memory it is the faster form, in training more than in evaluation.
    """

    layer_role = LayerRole.CONVOLUTION

    def forward(self, input: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k h w"]:
        return F.linear(input.permute(0, 2, 3, 1), self.weight, self.bias).permute(0, 3, 1, 2)


class SeparableConv2d(nn.Module):
    """A convolution of each channel by itself, then a 1×1 convolution that mixes them, with nothing between.

    Sifre, "Rigid-motion scattering for image classification", PhD thesis, École Polytechnique, 2014; with nothing in
    between Chollet, "Xception: deep learning with depthwise separable convolutions", CVPR 2017, arXiv:1610.02357,
    section 4.7. `padding` may be "same": TensorFlow's rule, with any stride. The one bias is the 1×1 convolution's.
    """

    layer_role = LayerRole.UNIT

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Pair,
        stride: int | Pair = 1,
        padding: int | Pair | str = 0,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        if padding == "same":
            self.depthwise = Conv2dSame(in_channels, in_channels, kernel_size, stride, groups=in_channels, bias=False)
        else:
            self.depthwise = nn.Conv2d(
                in_channels, in_channels, kernel_size, stride, padding, groups=in_channels, bias=False
            )
        self.pointwise = nn.Conv2d(in_channels, out_channels, 1, bias=bias)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k y x"]:
        return self.pointwise(self.depthwise(x))


def _pad(layer: nn.Conv2d, x: Tensor) -> tuple[Tensor, Sequence[int]]:
    """Return the padded `x`, and the padding that the convolution itself adds to both ends of each axis.

    Where both ends get the same, nothing is copied.
    """
    ends = [
        same_padding(size, dilation * (kernel - 1) + 1, stride)
        for size, kernel, dilation, stride in zip(
            x.shape[2:], layer.kernel_size, layer.dilation, layer.stride, strict=True
        )
    ]
    if all(before == after for before, after in ends):
        return x, [before for before, _ in ends]
    if torch.is_inference_mode_enabled():
        return _framed(x, ends), [0] * len(ends)
    last_axis_first = [end for pair in reversed(ends) for end in pair]
    return F.pad(x, last_axis_first), [0] * len(ends)


def _framed(x: Tensor, ends: Sequence[tuple[int, int]]) -> Tensor:
    """Pad like `F.pad`, several times faster on maps with channels last, which `F.pad` first fills with zeros.

    Its gradient would be slower, so it is used in inference only.
    """
    sides = [before + size + after for size, (before, after) in zip(x.shape[2:], ends, strict=True)]
    order = sorted(range(x.ndim), key=x.stride, reverse=True)
    framed = torch.empty_permuted((*x.shape[:2], *sides), order, dtype=x.dtype, device=x.device)
    middle = framed
    for axis, (before, after) in enumerate(ends, start=2):
        framed.narrow(axis, 0, before).zero_()
        framed.narrow(axis, framed.shape[axis] - after, after).zero_()
        middle = middle.narrow(axis, before, x.shape[axis])
    middle.copy_(x)
    return framed
