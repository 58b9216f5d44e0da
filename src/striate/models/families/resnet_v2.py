"""ResNet v2: batch norm and ReLU before each convolution, so that the path of the shortcuts has only sums.

He, Zhang, Ren and Sun, "Identity mappings in deep residual networks", ECCV 2016, arXiv:1603.05027. The full
pre-activation of section 4 (figure 4e) in the nets for ImageNet of section 5; the shortcuts that the paper tried and
found worse are in `identity_mappings`.

    x' = x + F(x)        eq. 4, F beginning with batch norm and ReLU, and nothing after the sum

Where a block changes the map's shape its shortcut, a 1×1 convolution without batch norm, begins after the first
activation, which both ways then share; so it does in the very first block. A last batch norm and ReLU precede the mean
(section 4.1, the last paragraphs).

What the paper leaves open: the 3×3 convolution moves by the stride, as in the Torch code with which the nets of section
5 were trained, and in timm (the authors' net for CIFAR has it in the first 1×1). The pooling precedes the first batch
norm, as in timm and Keras. Keras's nets of this name, ResNet50V2 and so on, are others: they halve the map in the last
block of a stage, and some of their convolutions have biases. Initial weights are He's with the fan-out, as in the
authors' released code; batch norm's momentum and epsilon are torch's.
"""

from __future__ import annotations

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor, nn

from striate.layers import Add, GlobalAveragePool, he_
from striate.models._stages import Block, Stages
from striate.models._zoo import Network, register_family


class PreActivated(Block):
    """Norm, ReLU, 1×1; norm, ReLU, 3×3; norm, ReLU, 1×1: a bottleneck that ends in its sum (figure 4e)."""

    last = "add"

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.outputs = 4 * width
        self.changes = inputs != self.outputs or stride > 1
        self.norm1 = nn.BatchNorm2d(inputs)
        self.relu1 = nn.ReLU()
        self.shortcut = nn.Conv2d(inputs, self.outputs, 1, stride, bias=False) if self.changes else nn.Identity()
        self.conv1 = nn.Conv2d(inputs, width, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)
        self.relu2 = nn.ReLU()
        self.conv2 = nn.Conv2d(width, width, 3, stride, padding=1, bias=False)
        self.norm3 = nn.BatchNorm2d(width)
        self.relu3 = nn.ReLU()
        self.conv3 = nn.Conv2d(width, self.outputs, 1, bias=False)
        self.add = Add()

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k y x"]:
        active = self.relu1(self.norm1(x))
        shortcut = self.shortcut(active if self.changes else x)
        branch = self.conv1(active)
        branch = self.conv2(self.relu2(self.norm2(branch)))
        branch = self.conv3(self.relu3(self.norm3(branch)))
        return self.add(branch, shortcut)


class ResNetV2(Network):
    """ResNet's outline with pre-activated blocks, and an activation after the last of them."""

    head = "fc"

    def __init__(self, channels: int, classes: int, blocks: Sequence[int]) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, 64, 7, 2, padding=3, bias=False)
        self.pool1 = nn.MaxPool2d(3, 2, padding=1)
        stages = Stages(PreActivated, 64)
        self.stage1 = stages.stack(64, blocks[0])
        self.stage2 = stages.stack(128, blocks[1], stride=2)
        self.stage3 = stages.stack(256, blocks[2], stride=2)
        self.stage4 = stages.stack(512, blocks[3], stride=2)
        self.norm = nn.BatchNorm2d(stages.outputs)
        self.relu = nn.ReLU()
        # The last map is the one that is averaged; those before it are sums, which the next block activates.
        self.feature_maps = {"stem": "conv1", **stages.maps, "stage4": "relu"}
        self.pool2 = GlobalAveragePool()
        self.fc = nn.Linear(stages.outputs, classes)
        he_(self, fan="out")
        he_(self.fc)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k"]:
        x = self.pool1(self.conv1(x))
        x = self.stage4(self.stage3(self.stage2(self.stage1(x))))
        return self.fc(self.pool2(self.relu(self.norm(x))))


VARIANTS = {
    "resnet50_v2": dict(blocks=(3, 4, 6, 3)),
    "resnet101_v2": dict(blocks=(3, 4, 23, 3)),
    "resnet152_v2": dict(blocks=(3, 8, 36, 3)),
    "resnet200_v2": dict(blocks=(3, 24, 36, 3)),
}
register_family("resnet_v2", ResNetV2, VARIANTS)
