"""ResNet: networks whose blocks learn what to add to their input.

He, Zhang, Ren and Sun, "Deep residual learning for image recognition", CVPR 2016, arXiv:1512.03385. The networks for
ImageNet of section 4.1 and table 1; those for CIFAR-10 are in `resnet_cifar`, the twins without shortcuts in `plain`.

    y = relu(F(x) + x)        eq. 1, the ReLU after the sum as in figure 2

Where a block changes the map's size or depth, its shortcut is a 1×1 convolution (option B of section 3.3).

Two forms of the deeper nets go by one name. In the paper's (section 3.4 and the authors' released nets) a block that
halves the map does so in its first 1×1 convolution. Since Facebook's Torch code of 2016 the 3×3 convolution does it,
which drops no pixel: 0.8 points better for ResNet-50 (arXiv:1812.01187, table 5: ResNet-B) and 6 % more work. That is
what torchvision, timm and nearly everybody means today, so it has the plain name, `resnet50`; the paper's form is
`resnet50_2015`.

Initial weights are He's with the fan-in (section 3.4, by its reference 13). The paper gives no momentum and no epsilon
of batch norm: torch's, 0.1 and 1e-5, are those of the Torch code, too.
"""

from __future__ import annotations

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor, nn

from striate.layers import Add, GlobalAveragePool, he_
from striate.models._stages import Block, MakeBlock, Stages
from striate.models._zoo import Network, register_family


def projection(inputs: int, outputs: int, stride: int) -> nn.Module:
    """Return the shortcut: nothing where the shape stays, else a 1×1 convolution and batch norm (option B)."""
    if inputs == outputs and stride == 1:
        return nn.Identity()
    return nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))


class BasicBlock(Block):
    """Two 3×3 convolutions (figure 5, left)."""

    last = "relu2"

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.outputs = width
        self.conv1 = nn.Conv2d(inputs, width, 3, stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(width)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)
        self.shortcut = projection(inputs, width, stride)
        self.add = Add()
        self.relu2 = nn.ReLU()

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k y x"]:
        branch = self.relu1(self.norm1(self.conv1(x)))
        branch = self.norm2(self.conv2(branch))
        return self.relu2(self.add(branch, self.shortcut(x)))


class Bottleneck(Block):
    """1×1 to `width` channels, 3×3, 1×1 to four times as many (figure 5, right); the 3×3 moves by `stride`."""

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
        self.shortcut = projection(inputs, self.outputs, stride)
        self.add = Add()
        self.relu3 = nn.ReLU()

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k y x"]:
        return self.relu3(self.add(self.residual(x), self.shortcut(x)))

    def residual(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k y x"]:
        """F(x), what is added to the shortcut."""
        branch = self.relu1(self.norm1(self.conv1(x)))
        branch = self.relu2(self.norm2(self.conv2(branch)))
        return self.norm3(self.conv3(branch))


class Bottleneck2015(Bottleneck):
    """The bottleneck as the paper has it: the first 1×1 convolution moves by `stride`."""

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__(inputs, width, stride)
        self.conv1.stride, self.conv2.stride = self.conv2.stride, self.conv1.stride


class ResNet(Network):
    """Table 1: a 7×7 convolution and a pooling, four stages of `blocks`, the mean of each map, one layer."""

    head = "fc"

    def __init__(self, channels: int, classes: int, make_block: MakeBlock, blocks: Sequence[int]) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, 64, 7, 2, padding=3, bias=False)
        self.norm1 = nn.BatchNorm2d(64)
        self.relu1 = nn.ReLU()
        self.pool1 = nn.MaxPool2d(3, 2, padding=1)
        stages = Stages(make_block, 64)
        self.stage1 = stages.stack(64, blocks[0])
        self.stage2 = stages.stack(128, blocks[1], stride=2)
        self.stage3 = stages.stack(256, blocks[2], stride=2)
        self.stage4 = stages.stack(512, blocks[3], stride=2)
        self.feature_maps = {"stem": "relu1", **stages.maps}
        self.pool2 = GlobalAveragePool()
        self.fc = nn.Linear(stages.outputs, classes)
        he_(self)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k"]:
        x = self.pool1(self.relu1(self.norm1(self.conv1(x))))
        x = self.stage4(self.stage3(self.stage2(self.stage1(x))))
        return self.fc(self.pool2(x))


VARIANTS = {
    "resnet18": dict(make_block=BasicBlock, blocks=(2, 2, 2, 2)),
    "resnet34": dict(make_block=BasicBlock, blocks=(3, 4, 6, 3)),
    "resnet50": dict(make_block=Bottleneck, blocks=(3, 4, 6, 3)),
    "resnet101": dict(make_block=Bottleneck, blocks=(3, 4, 23, 3)),
    "resnet152": dict(make_block=Bottleneck, blocks=(3, 8, 36, 3)),
    "resnet200": dict(make_block=Bottleneck, blocks=(3, 24, 36, 3)),
    "resnet50_2015": dict(make_block=Bottleneck2015, blocks=(3, 4, 6, 3)),
    "resnet101_2015": dict(make_block=Bottleneck2015, blocks=(3, 4, 23, 3)),
    "resnet152_2015": dict(make_block=Bottleneck2015, blocks=(3, 8, 36, 3)),
}
register_family("resnet", ResNet, VARIANTS)
