"""Wide ResNets: fewer layers, with many times the filters.

Zagoruyko and Komodakis, "Wide residual networks", BMVC 2016, arXiv:1605.07146.

WRN-d-k for CIFAR (table 1) has d = 6n + 4 layers: a 3×3 convolution of 16 filters, three stages of n pre-activated
blocks with 16k, 32k and 64k, batch norm and ReLU, the means, one layer. (That d counts the 1×1 convolutions in three
shortcuts, and not the last layer: the longest path, the depth on our cards, has two layers less.) Where a block changes
the shape, its shortcut is a 1×1 convolution that begins, as the branch does, after the first activation (the authors'
code). Dropout, where there is any, stands between the two convolutions of each block (section 2.4).

WRN-50-2 for ImageNet (section 3, "ImageNet and COCO experiments") is ResNet-50 with twice the width inside its
bottlenecks, whose sums it leaves as they are.

Initial weights are He's with the fan-in; batch norm's momentum and epsilon, which the paper does not give, are torch's.
"""

from __future__ import annotations

import functools

from jaxtyping import Float
from torch import Tensor, nn

from striate.layers import Add, GlobalAveragePool, he_
from striate.models._stages import Block, Stages
from striate.models._zoo import Network, register_family
from striate.models.families.resnet import ResNet, projection


class WideBlock(Block):
    """Norm, ReLU, 3×3; norm, ReLU, dropout, 3×3 (figure 1d)."""

    last = "add"

    def __init__(self, inputs: int, width: int, stride: int, dropout: float) -> None:
        super().__init__()
        self.outputs = width
        self.changes = inputs != width or stride > 1
        self.norm1 = nn.BatchNorm2d(inputs)
        self.relu1 = nn.ReLU()
        self.conv1 = nn.Conv2d(inputs, width, 3, stride, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)
        self.relu2 = nn.ReLU()
        self.dropout = nn.Dropout(dropout)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.shortcut = nn.Conv2d(inputs, width, 1, stride, bias=False) if self.changes else nn.Identity()
        self.add = Add()

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k y x"]:
        active = self.relu1(self.norm1(x))
        shortcut = self.shortcut(active if self.changes else x)
        branch = self.relu2(self.norm2(self.conv1(active)))
        branch = self.conv2(self.dropout(branch))
        return self.add(branch, shortcut)


class WideResNet(Network):
    """Table 1: WRN-`layers`-`widening`."""

    head = "fc"

    def __init__(self, channels: int, classes: int, layers: int, widening: int, dropout: float = 0.0) -> None:
        super().__init__()
        blocks = (layers - 4) // 6
        self.conv1 = nn.Conv2d(channels, 16, 3, padding=1, bias=False)
        stages = Stages(functools.partial(WideBlock, dropout=dropout), 16)
        self.stage1 = stages.stack(16 * widening, blocks)
        self.stage2 = stages.stack(32 * widening, blocks, stride=2)
        self.stage3 = stages.stack(64 * widening, blocks, stride=2)
        self.norm = nn.BatchNorm2d(stages.outputs)
        self.relu = nn.ReLU()
        # The last map is the one that is averaged; those before it are sums, which the next block activates.
        self.feature_maps = {"stem": "conv1", **stages.maps, "stage3": "relu"}
        self.pool = GlobalAveragePool()
        self.fc = nn.Linear(stages.outputs, classes)
        he_(self)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k"]:
        x = self.stage3(self.stage2(self.stage1(self.conv1(x))))
        return self.fc(self.pool(self.relu(self.norm(x))))


class WideBottleneck(Block):
    """ResNet's bottleneck, `widening` times as wide inside: 1×1, 3×3, 1×1, and the same number of channels out."""

    last = "relu3"

    def __init__(self, inputs: int, width: int, stride: int, widening: int) -> None:
        super().__init__()
        self.outputs = 4 * width
        wide = widening * width
        self.conv1 = nn.Conv2d(inputs, wide, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(wide)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(wide, wide, 3, stride, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(wide)
        self.relu2 = nn.ReLU()
        self.conv3 = nn.Conv2d(wide, self.outputs, 1, bias=False)
        self.norm3 = nn.BatchNorm2d(self.outputs)
        self.shortcut = projection(inputs, self.outputs, stride)
        self.add = Add()
        self.relu3 = nn.ReLU()

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k y x"]:
        branch = self.relu1(self.norm1(self.conv1(x)))
        branch = self.relu2(self.norm2(self.conv2(branch)))
        branch = self.norm3(self.conv3(branch))
        return self.relu3(self.add(branch, self.shortcut(x)))


CIFAR = {
    "wide_resnet16_8": dict(layers=16, widening=8),
    "wide_resnet28_10": dict(layers=28, widening=10),
    "wide_resnet28_10_dropout": dict(layers=28, widening=10, dropout=0.3),
    "wide_resnet40_4": dict(layers=40, widening=4),
}
IMAGENET = {
    "wide_resnet50_2": dict(make_block=functools.partial(WideBottleneck, widening=2), blocks=(3, 4, 6, 3)),
}
register_family("wide_resnet", WideResNet, CIFAR)
register_family("wide_resnet", ResNet, IMAGENET)
