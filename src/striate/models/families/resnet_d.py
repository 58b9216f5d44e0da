"""ResNet-D: three small changes to ResNet, none of which drops a pixel or costs much.

He, Zhang, Zhang, Zhang, Xie and Li, "Bag of tricks for image classification with convolutional neural networks", CVPR
2019, arXiv:1812.01187, section 4 and figure 2. B: the 3×3 convolution of a bottleneck moves by the stride (as in our
`resnet50`). C: three 3×3 convolutions, of 32, 32 and 64 filters, for the first 7×7. D: the shortcut of a block that
halves the map takes means of 2×2 pixels before its 1×1 convolution, which then moves by one.

Initial weights are Xavier's, biases and batch norm's shifts zero and its scales one (section 2.1), but zero in the last
batch norm of each block, so that at first a block is its shortcut (section 3.1, "zero γ"). The paper gives no momentum
and no epsilon of batch norm; they are torch's.

The paper has 50 layers; 101 and 152 are the same changes to those ResNets, as in timm.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor, nn

from striate.layers import Add, GlobalAveragePool, xavier_
from striate.models._stages import Block, Stages
from striate.models._zoo import Network, register_family


def averaging_projection(inputs: int, outputs: int, stride: int) -> nn.Module:
    """Return the shortcut of figure 2c: means of `stride`×`stride` pixels, then a 1×1 convolution and batch norm."""
    if inputs == outputs and stride == 1:
        return nn.Identity()
    # The last row and column of an odd map are averaged as well: the branch has a place for them.
    means = nn.AvgPool2d(stride, ceil_mode=True) if stride > 1 else nn.Identity()
    conv = nn.Conv2d(inputs, outputs, 1, bias=False)
    return nn.Sequential(OrderedDict(means=means, conv=conv, norm=nn.BatchNorm2d(outputs)))


class BottleneckD(Block):
    """ResNet's bottleneck with the shortcut of figure 2c; its last batch norm begins with zero."""

    last = "relu3"

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.outputs = 4 * width
        self.conv1 = nn.Conv2d(inputs, width, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(width)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(width, width, 3, stride, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)
        self.relu2 = nn.ReLU()
        self.conv3 = nn.Conv2d(width, self.outputs, 1, bias=False)
        self.norm3 = nn.BatchNorm2d(self.outputs)
        self.shortcut = averaging_projection(inputs, self.outputs, stride)
        self.add = Add()
        self.relu3 = nn.ReLU()
        nn.init.zeros_(self.norm3.weight)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k y x"]:
        branch = self.relu1(self.norm1(self.conv1(x)))
        branch = self.relu2(self.norm2(self.conv2(branch)))
        branch = self.norm3(self.conv3(branch))
        return self.relu3(self.add(branch, self.shortcut(x)))


def deep_stem(channels: int) -> nn.Sequential:
    """Return the first layers of figure 2b: 3×3 convolutions of 32, 32 and 64 filters, the first with a stride of 2."""
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    for number, (inputs, outputs) in enumerate(((channels, 32), (32, 32), (32, 64)), start=1):
        stride = 2 if number == 1 else 1
        layers[f"conv{number}"] = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        layers[f"norm{number}"] = nn.BatchNorm2d(outputs)
        layers[f"relu{number}"] = nn.ReLU()
    return nn.Sequential(layers)


class ResNetD(Network):
    """ResNet's outline with the three changes."""

    head = "fc"

    def __init__(self, channels: int, classes: int, blocks: Sequence[int]) -> None:
        super().__init__()
        self.stem = deep_stem(channels)
        self.pool1 = nn.MaxPool2d(3, 2, padding=1)
        stages = Stages(BottleneckD, 64)
        self.stage1 = stages.stack(64, blocks[0])
        self.stage2 = stages.stack(128, blocks[1], stride=2)
        self.stage3 = stages.stack(256, blocks[2], stride=2)
        self.stage4 = stages.stack(512, blocks[3], stride=2)
        self.feature_maps = {"stem": "stem.relu3", **stages.maps}
        self.pool2 = GlobalAveragePool()
        self.fc = nn.Linear(stages.outputs, classes)
        xavier_(self)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k"]:
        x = self.pool1(self.stem(x))
        x = self.stage4(self.stage3(self.stage2(self.stage1(x))))
        return self.fc(self.pool2(x))


VARIANTS = {
    "resnet50d": dict(blocks=(3, 4, 6, 3)),
    "resnet101d": dict(blocks=(3, 4, 23, 3)),
    "resnet152d": dict(blocks=(3, 8, 36, 3)),
}
register_family("resnet_d", ResNetD, VARIANTS)
