"""The arithmetic of receptive fields, with which a network's file declares its feature maps.

A window of k rows on a map of stride s widens what its values see by (k - 1)·s pixels and, moved by t rows at a time,
makes the next map's stride s·t (Araujo, Norris and Sim, "Computing receptive fields of convolutional neural networks",
Distill 2019, doi:10.23915/distill.00021, eq. 2). What is declared so is compared in the tests with what a shadow of the
network shows (`describe`) and with where the gradient is not zero.
"""

from __future__ import annotations

from dataclasses import dataclass

from striate.core.protocols import FeatureMap

Pair = tuple[int, int]


@dataclass(frozen=True)
class Reach:
    """How many input pixels a value of a map sees (`field`) and how many lie between two neighbours (`stride`): (y, x).

    A `field` of None is the whole picture: a gate that looks at all of a map (squeeze-and-excitation) was met.
    """

    field: Pair | None = (1, 1)
    stride: Pair = (1, 1)

    def window(self, kernel: int | Pair, stride: int = 1, dilation: int = 1) -> Reach:
        """Behind a convolution or a pooling; `kernel` is one number for both axes, or (y, x)."""
        sides = (kernel, kernel) if isinstance(kernel, int) else kernel
        next_stride = (self.stride[0] * stride, self.stride[1] * stride)
        if self.field is None:
            return Reach(None, next_stride)
        y, x = (
            seen + (side - 1) * dilation * step for seen, side, step in zip(self.field, sides, self.stride, strict=True)
        )
        return Reach((y, x), next_stride)

    def everywhere(self) -> Reach:
        """Behind a gate that looks at the whole map."""
        return Reach(None, self.stride)

    def __or__(self, other: Reach) -> Reach:
        """Where two paths with the same centre and the same stride are added or laid beside each other."""
        if self.field is None or other.field is None:
            return self.everywhere()
        return Reach((max(self.field[0], other.field[0]), max(self.field[1], other.field[1])), self.stride)

    def place(self, name: str, module: str, channels: int) -> FeatureMap:
        """The feature map `name`: the output, with `channels` channels, of the module at path `module`."""
        return FeatureMap(name, module, channels, self.stride, self.field)
