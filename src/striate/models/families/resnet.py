"""ResNet: networks whose blocks learn what to add to their input.

He, Zhang, Ren and Sun, "Deep residual learning for image recognition", CVPR 2016, arXiv:1512.03385. The networks for
ImageNet of section 4.1 and table 1; those for CIFAR-10 are in `resnet_cifar`, the twins without shortcuts in `plain`.

    y = relu(F(x) + x)        eq. 1, the ReLU behind the sum as in figure 2

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

import functools
from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor, nn

from striate.layers import Add, GlobalAveragePool, he_
from striate.models._reach import Reach
from striate.models._stages import Block, MakeBlock, Stages
from striate.models._zoo import ModelCard, Network, Published, register


def projection(inputs: int, outputs: int, stride: int) -> nn.Module:
    """The shortcut: nothing where the shape stays, else a 1×1 convolution and batch norm (option B)."""
    if inputs == outputs and stride == 1:
        return nn.Identity()
    return nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))


class BasicBlock(Block):
    """Two 3×3 convolutions (figure 5, left)."""

    last = "relu2"

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.outputs, self.stride = width, stride
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

    def reach(self, seen: Reach) -> Reach:
        return seen.window(3, self.stride).window(3)


class Bottleneck(Block):
    """1×1 to `width` channels, 3×3, 1×1 to four times as many (figure 5, right); the 3×3 moves by `stride`."""

    last = "relu3"

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.outputs, self.stride = 4 * width, stride
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

    def reach(self, seen: Reach) -> Reach:
        return seen.window(3, self.stride)


class Bottleneck2015(Bottleneck):
    """The bottleneck as the paper has it: the first 1×1 convolution moves by `stride`."""

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__(inputs, width, stride)
        self.conv1.stride, self.conv2.stride = self.conv2.stride, self.conv1.stride

    def reach(self, seen: Reach) -> Reach:
        return seen.window(1, self.stride).window(3)


class ResNet(Network):
    """Table 1: a 7×7 convolution and a pooling, four stages of `blocks`, the mean of each map, one layer."""

    head = "fc"

    def __init__(self, channels: int, classes: int, make_block: MakeBlock, blocks: Sequence[int]) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, 64, 7, 2, padding=3, bias=False)
        self.norm1 = nn.BatchNorm2d(64)
        self.relu1 = nn.ReLU()
        self.pool1 = nn.MaxPool2d(3, 2, padding=1)
        seen = Reach().window(7, 2)
        stem = seen.place("stem", "relu1", 64)
        stages = Stages(make_block, 64, seen.window(3, 2))
        self.stage1 = stages.stack(64, blocks[0])
        self.stage2 = stages.stack(128, blocks[1], stride=2)
        self.stage3 = stages.stack(256, blocks[2], stride=2)
        self.stage4 = stages.stack(512, blocks[3], stride=2)
        self.feature_maps = (stem, *stages.maps)
        self.pool2 = GlobalAveragePool()
        self.fc = nn.Linear(stages.outputs, classes)
        he_(self)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k"]:
        x = self.pool1(self.relu1(self.norm1(self.conv1(x))))
        x = self.stage4(self.stage3(self.stage2(self.stage1(x))))
        return self.fc(self.pool2(x))


_card = functools.partial(
    ModelCard,
    family="resnet",
    title="Deep residual learning for image recognition",
    authors="He, Zhang, Ren, Sun",
    year=2015,
    paper="https://arxiv.org/abs/1512.03385",
    input=(3, 224, 224),
    classes=1000,
)
_2015 = functools.partial(
    _card,
    notes="Stride in the first 1×1 convolution, as in the paper; the form that torchvision has goes without _2015.",
)
_ten_crops = functools.partial(Published, protocol="single net, 10 crops, 224×224")
_torchvision = functools.partial(
    Published,
    source="https://docs.pytorch.org/vision/stable/models.html",
    protocol="single net, one crop, 224×224; weights IMAGENET1K_V1",
)


@register(
    _card(
        name="resnet18",
        parameters=11_689_512,
        macs=1_814_073_344,
        depth=18,
        published=(
            _ten_crops(
                source="the paper, tables 1 and 2 (shortcuts of option A)",
                macs="1.8 G",
                top1=72.12,
            ),
            _torchvision(parameters="11.7 M", macs="1.81 G", top1=69.758, top5=89.078),
        ),
    )
)
def resnet18(*, channels: int, size: tuple[int, int], classes: int) -> Network:
    """ResNet-18: basic blocks, two in each stage."""
    return ResNet(channels, classes, BasicBlock, (2, 2, 2, 2))


@register(
    _card(
        name="resnet34",
        parameters=21_797_672,
        macs=3_663_761_408,
        depth=34,
        published=(
            _ten_crops(
                source="the paper, tables 1 and 3 (ResNet-34 B)",
                macs="3.6 G",
                top1=75.48,
                top5=92.54,
                differs="table 1 leaves out the projections of option B: 3.64 G without, 3.66 G with them",
            ),
            _torchvision(parameters="21.8 M", macs="3.66 G", top1=73.314, top5=91.42),
        ),
    )
)
def resnet34(*, channels: int, size: tuple[int, int], classes: int) -> Network:
    """ResNet-34: basic blocks, 3, 4, 6 and 3."""
    return ResNet(channels, classes, BasicBlock, (3, 4, 6, 3))


@register(
    _card(
        name="resnet50",
        parameters=25_557_032,
        macs=4_089_184_256,
        depth=50,
        published=(_torchvision(parameters="25.6 M", macs="4.09 G", top1=76.13, top5=92.862),),
        notes="Stride in the 3×3 convolution, as torchvision has it (v1.5); the paper's form is resnet50_2015.",
    )
)
def resnet50(*, channels: int, size: tuple[int, int], classes: int) -> Network:
    """ResNet-50 with the stride in the 3×3 convolutions: bottlenecks, 3, 4, 6 and 3."""
    return ResNet(channels, classes, Bottleneck, (3, 4, 6, 3))


@register(
    _card(
        name="resnet101",
        parameters=44_549_160,
        macs=7_801_405_440,
        depth=101,
        published=(_torchvision(parameters="44.5 M", macs="7.80 G", top1=77.374, top5=93.546),),
        notes="Stride in the 3×3 convolution, as torchvision has it (v1.5); the paper's form is resnet101_2015.",
    )
)
def resnet101(*, channels: int, size: tuple[int, int], classes: int) -> Network:
    """ResNet-101 with the stride in the 3×3 convolutions: bottlenecks, 3, 4, 23 and 3."""
    return ResNet(channels, classes, Bottleneck, (3, 4, 23, 3))


@register(
    _card(
        name="resnet152",
        parameters=60_192_808,
        macs=11_513_626_624,
        depth=152,
        published=(_torchvision(parameters="60.2 M", macs="11.51 G", top1=78.312, top5=94.046),),
        notes="Stride in the 3×3 convolution, as torchvision has it (v1.5); the paper's form is resnet152_2015.",
    )
)
def resnet152(*, channels: int, size: tuple[int, int], classes: int) -> Network:
    """ResNet-152 with the stride in the 3×3 convolutions: bottlenecks, 3, 8, 36 and 3."""
    return ResNet(channels, classes, Bottleneck, (3, 8, 36, 3))


@register(
    _card(
        name="resnet200",
        parameters=64_673_832,
        macs=15_007_481_856,
        depth=200,
        published=(
            Published(
                source="Identity mappings in deep residual networks, arXiv:1603.05027, table 5",
                top1=78.2,
                top5=94.0,
                protocol="single net, one crop, 320×320",
            ),
        ),
        notes="Not in the paper: the authors' next one has it beside the pre-activated form, resnet200_v2, which it "
        "is worse than. Stride in the 3×3 convolution.",
    )
)
def resnet200(*, channels: int, size: tuple[int, int], classes: int) -> Network:
    """ResNet-200 with the stride in the 3×3 convolutions: bottlenecks, 3, 24, 36 and 3."""
    return ResNet(channels, classes, Bottleneck, (3, 24, 36, 3))


@register(
    _2015(
        name="resnet50_2015",
        parameters=25_557_032,
        macs=3_857_973_248,
        depth=50,
        published=(
            _ten_crops(
                source="the paper, tables 1 and 3",
                macs="3.8 G",
                top1=77.15,
                top5=93.29,
                differs="3.858 G, cut off after one place; the paper rounds its other figures",
            ),
        ),
    )
)
def resnet50_2015(*, channels: int, size: tuple[int, int], classes: int) -> Network:
    """ResNet-50 with the stride in the first 1×1 convolutions."""
    return ResNet(channels, classes, Bottleneck2015, (3, 4, 6, 3))


@register(
    _2015(
        name="resnet101_2015",
        parameters=44_549_160,
        macs=7_570_194_432,
        depth=101,
        published=(_ten_crops(source="the paper, tables 1 and 3", macs="7.6 G", top1=78.25, top5=93.95),),
    )
)
def resnet101_2015(*, channels: int, size: tuple[int, int], classes: int) -> Network:
    """ResNet-101 with the stride in the first 1×1 convolutions."""
    return ResNet(channels, classes, Bottleneck2015, (3, 4, 23, 3))


@register(
    _2015(
        name="resnet152_2015",
        parameters=60_192_808,
        macs=11_282_415_616,
        depth=152,
        published=(
            _ten_crops(source="the paper, tables 1 and 3", macs="11.3 G", top1=78.57, top5=94.29),
            Published(
                source="the paper, table 5",
                top5=96.43,
                protocol="ensemble of six nets of several depths, fully convolutional at several scales, ILSVRC 2015",
                data="ImageNet 2012 test",
            ),
        ),
    )
)
def resnet152_2015(*, channels: int, size: tuple[int, int], classes: int) -> Network:
    """ResNet-152 with the stride in the first 1×1 convolutions."""
    return ResNet(channels, classes, Bottleneck2015, (3, 8, 36, 3))
