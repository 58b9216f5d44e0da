"""Pooling: over the whole map, and with TensorFlow's "same" padding."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from striate.layers.same import same_padding

Pair = tuple[int, int]


class GlobalAveragePool(nn.Module):
    """The mean of each channel over all positions.

    Lin, Chen and Yan, "Network in network", ICLR 2014, arXiv:1312.4400, section 3.2.
    """

    def forward(self, x: Float[Tensor, "n c *size"]) -> Float[Tensor, "n c"]:
        return x.mean(dim=tuple(range(2, x.ndim)))


class _SamePool2d(nn.Module):
    """A pooling window that stands at ceil(n / stride) places of each axis; `stride` None is the window's size.

    torch pads both ends alike and, with `ceil_mode`, lets the last window hang over the end, where nothing is counted:
    for a stride above one that is TensorFlow's rule without a copy of the map. With a stride of one and an even window
    nothing may hang over, so the map is padded by the larger half at both ends and the first place is left out.
    """

    def __init__(self, kernel_size: int | Pair, stride: int | Pair | None = None) -> None:
        super().__init__()
        self.kernel_size = _pair(kernel_size)
        self.stride = self.kernel_size if stride is None else _pair(stride)

    def _padding(self, x: Tensor) -> tuple[Pair, Pair]:
        """Return the padding at both ends of (y, x), and the number of first positions to drop."""
        axes = zip(x.shape[-2:], self.kernel_size, self.stride, strict=True)
        (top, bottom), (left, right) = (same_padding(*axis) for axis in axes)
        skipped_y, skipped_x = (
            after - before if stride == 1 else 0
            for (before, after), stride in zip(((top, bottom), (left, right)), self.stride, strict=True)
        )
        return (top + skipped_y, left + skipped_x), (skipped_y, skipped_x)

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}"


class MaxPool2dSame(_SamePool2d):
    """Max pooling with TensorFlow's "same" padding, which never holds the maximum."""

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c y x"]:
        padding, (skipped_y, skipped_x) = self._padding(x)
        pooled = F.max_pool2d(x, self.kernel_size, self.stride, padding, ceil_mode=True)
        return pooled[..., skipped_y:, skipped_x:]


class AvgPool2dSame(_SamePool2d):
    """Average pooling with TensorFlow's "same" padding: the mean is that of the window's pixels inside the map."""

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c y x"]:
        padding, (skipped_y, skipped_x) = self._padding(x)
        pooled = F.avg_pool2d(x, self.kernel_size, self.stride, padding, ceil_mode=True, count_include_pad=False)
        return pooled[..., skipped_y:, skipped_x:]


def _pair(value: int | Pair) -> Pair:
    return (value, value) if isinstance(value, int) else value
