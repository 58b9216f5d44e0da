"""Transposed convolutions with TensorFlow's "same" padding, for weights that were trained with it.

A transposed convolution is the adjoint of the convolution with the same weights; here, of the one that makes n places
of n · stride by the rule of `striate.layers.same`. So it gives n · stride places: the full result is cut where that
convolution pads, or filled up behind with the bias where the kernel is shorter than the stride. torch's own cuts as
much behind as before.
"""

from __future__ import annotations

from collections.abc import Callable

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from striate.layers.same import same_padding

Pair = tuple[int, int]
Triple = tuple[int, int, int]


class ConvTranspose1dSame(nn.ConvTranspose1d):
    """A transposed convolution that gives n · stride places."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int = 1,
        dilation: int = 1,
        groups: int = 1,
        bias: bool = True,
    ) -> None:
        super().__init__(in_channels, out_channels, kernel_size, stride, 0, 0, groups, bias, dilation)

    # The rule leaves no choice of the output's size.
    def forward(self, input: Float[Tensor, "n c l"]) -> Float[Tensor, "n k x"]:  # pyright: ignore[reportIncompatibleMethodOverride]
        return _spread(self, F.conv_transpose1d, input)


class ConvTranspose2dSame(nn.ConvTranspose2d):
    """A transposed convolution that gives h · stride × w · stride places."""

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
        super().__init__(in_channels, out_channels, kernel_size, stride, 0, 0, groups, bias, dilation)

    def forward(self, input: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k y x"]:  # pyright: ignore[reportIncompatibleMethodOverride]
        return _spread(self, F.conv_transpose2d, input)


class ConvTranspose3dSame(nn.ConvTranspose3d):
    """A transposed convolution that gives n · stride places along each of three axes."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Triple,
        stride: int | Triple = 1,
        dilation: int | Triple = 1,
        groups: int = 1,
        bias: bool = True,
    ) -> None:
        super().__init__(in_channels, out_channels, kernel_size, stride, 0, 0, groups, bias, dilation)

    def forward(self, input: Float[Tensor, "n c d h w"]) -> Float[Tensor, "n k z y x"]:  # pyright: ignore[reportIncompatibleMethodOverride]
        return _spread(self, F.conv_transpose3d, input)


def _spread(
    layer: nn.ConvTranspose1d | nn.ConvTranspose2d | nn.ConvTranspose3d, transposed: Callable[..., Tensor], x: Tensor
) -> Tensor:
    """What `layer` makes of `x`, with torch's function `transposed` for its number of axes."""
    sizes = [size * stride for size, stride in zip(x.shape[2:], layer.stride, strict=True)]
    reaches = [d * (k - 1) + 1 for k, d in zip(layer.kernel_size, layer.dilation, strict=True)]
    before = [same_padding(*axis)[0] for axis in zip(sizes, reaches, layer.stride, strict=True)]
    missing = [max(stride - reach, 0) for stride, reach in zip(layer.stride, reaches, strict=True)]
    # torch cuts `before` at both ends; where one more is to go behind, it is left out here.
    full = transposed(x, layer.weight, layer.bias, layer.stride, before, missing, layer.groups, layer.dilation)
    return full[(..., *(slice(size) for size in sizes))]
