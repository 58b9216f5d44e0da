"""ResNeXt: bottlenecks that are split into many small ones of one form.

Xie, Girshick, Dollár, Tu and He, "Aggregated residual transformations for deep neural networks", CVPR 2017,
arXiv:1611.05431.

    y = x + Σ T_i(x),  i = 1 … C        eq. 3, with C the cardinality

ResNeXt-50 (32×4d) has C = 32 paths of width 4 in its first stage, 8, 16 and 32 in the next ones (table 1). The C paths
are computed as one bottleneck whose 3×3 convolution has C groups, which is the same (section 3.4, figure 3c; a test
adds the paths up one by one). The 3×3 convolution moves by the stride (section 4: as in Facebook's Torch code).

The rest is ResNet. Initial weights are He's, with the fan-in within a group; batch norm's momentum and epsilon are
torch's.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor, nn

from striate.layers import Add
from striate.models._stages import Block
from striate.models._zoo import Network, register_family
from striate.models.families.resnet import ResNet, projection


class Aggregated(Block):
    """`cardinality` paths (figure 3c), each `path_width` wide where the stage's `width` is 64, and in proportion."""

    last = "relu3"

    def __init__(self, inputs: int, width: int, stride: int, *, cardinality: int, path_width: int) -> None:
        super().__init__()
        self.outputs = 4 * width
        inner = cardinality * path_width * width // 64
        self.conv1 = nn.Conv2d(inputs, inner, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(inner)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(inner, inner, 3, stride, padding=1, groups=cardinality, bias=False)
        self.norm2 = nn.BatchNorm2d(inner)
        self.relu2 = nn.ReLU()
        self.conv3 = nn.Conv2d(inner, self.outputs, 1, bias=False)
        self.norm3 = nn.BatchNorm2d(self.outputs)
        self.shortcut = projection(inputs, self.outputs, stride)
        self.add = Add()
        self.relu3 = nn.ReLU()

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k y x"]:
        branch = self.relu1(self.norm1(self.conv1(x)))
        branch = self.relu2(self.norm2(self.conv2(branch)))
        branch = self.norm3(self.conv3(branch))
        return self.relu3(self.add(branch, self.shortcut(x)))


def resnext(channels: int, classes: int, *, cardinality: int, path_width: int, blocks: Sequence[int]) -> Network:
    """Build a ResNet of aggregated blocks: `cardinality` paths, `path_width` channels wide in the first stage."""
    make_block = functools.partial(Aggregated, cardinality=cardinality, path_width=path_width)
    return ResNet(channels, classes, make_block, blocks)


VARIANTS = {
    "resnext50_32x4d": dict(cardinality=32, path_width=4, blocks=(3, 4, 6, 3)),
    "resnext101_32x4d": dict(cardinality=32, path_width=4, blocks=(3, 4, 23, 3)),
    "resnext101_32x8d": dict(cardinality=32, path_width=8, blocks=(3, 4, 23, 3)),
    "resnext101_64x4d": dict(cardinality=64, path_width=4, blocks=(3, 4, 23, 3)),
}
register_family("resnext", resnext, VARIANTS)
