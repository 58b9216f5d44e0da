"""The ResNets for CIFAR-10: narrow, up to 1202 layers deep, and nothing but 3×3 convolutions.

He, Zhang, Ren and Sun, "Deep residual learning for image recognition", CVPR 2016, arXiv:1512.03385, section 4.2.

A 3×3 convolution of 16 filters, three stages of n blocks with 16, 32 and 64, whose maps are those of 32, 16 and 8 rows,
the mean of each map, one layer: 6n + 2 layers. The paper uses option A for its shortcuts everywhere here: where a block
changes the shape, every other pixel is taken and the missing channels are zeros, so a shortcut has no parameters
(`resnet20` …). With option B it is a 1×1 convolution, as in the nets for ImageNet (`resnet20_b` …).

The zeros of option A lie on both sides of the channels, half of them each, as in the most used published weights; where
they lie changes the order of channels and nothing else. Batch norm's momentum and epsilon, of which the paper says
nothing, are torch's; initial weights are He's with the fan-in.
"""

from __future__ import annotations

import functools

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from striate.layers import Add, GlobalAveragePool, he_
from striate.models._reach import Reach
from striate.models._stages import Block, MakeBlock, Stages
from striate.models._zoo import ModelCard, Network, Published, register


class ZeroPadded(nn.Module):
    """Option A (section 3.3): every `stride`-th pixel, and zeros for the channels that the input does not have."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        before = (outputs - inputs) // 2
        self.zeros = before, outputs - inputs - before
        self.stride = stride

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k y x"]:
        return F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, *self.zeros))

    def extra_repr(self) -> str:
        return f"stride={self.stride}, zeros={self.zeros}"


class BlockA(Block):
    """Two 3×3 convolutions, and a shortcut without parameters."""

    last = "relu2"

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.outputs, self.stride = width, stride
        self.conv1 = nn.Conv2d(inputs, width, 3, stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(width)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)
        changes = inputs != width or stride > 1
        self.shortcut = self.changing_shortcut(inputs, width, stride) if changes else nn.Identity()
        self.add = Add()
        self.relu2 = nn.ReLU()

    @staticmethod
    def changing_shortcut(inputs: int, outputs: int, stride: int) -> nn.Module:
        """The shortcut of a block that changes the map's shape."""
        return ZeroPadded(inputs, outputs, stride)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k y x"]:
        return self.relu2(self.add(self.residual(x), self.shortcut(x)))

    def residual(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k y x"]:
        """F(x), what is added to the shortcut."""
        return self.norm2(self.conv2(self.relu1(self.norm1(self.conv1(x)))))

    def reach(self, seen: Reach) -> Reach:
        return seen.window(3, self.stride).window(3)


class BlockB(BlockA):
    """The same with option B: a 1×1 convolution and batch norm where the shape changes."""

    @staticmethod
    def changing_shortcut(inputs: int, outputs: int, stride: int) -> nn.Module:
        return nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))


class CifarResNet(Network):
    """Section 4.2's outline: a 3×3 convolution, three stages of (layers - 2) / 6 blocks, the means, one layer."""

    head = "fc"

    def __init__(self, channels: int, classes: int, make_block: MakeBlock, layers: int) -> None:
        super().__init__()
        blocks = (layers - 2) // 6
        self.conv1 = nn.Conv2d(channels, 16, 3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(16)
        self.relu1 = nn.ReLU()
        seen = Reach().window(3)
        stem = seen.place("stem", "relu1", 16)
        stages = Stages(make_block, 16, seen)
        self.stage1 = stages.stack(16, blocks)
        self.stage2 = stages.stack(32, blocks, stride=2)
        self.stage3 = stages.stack(64, blocks, stride=2)
        self.feature_maps = (stem, *stages.maps)
        self.pool = GlobalAveragePool()
        self.fc = nn.Linear(64, classes)
        he_(self)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k"]:
        x = self.relu1(self.norm1(self.conv1(x)))
        x = self.stage3(self.stage2(self.stage1(x)))
        return self.fc(self.pool(x))


_SUM_OF_200 = "Logits are large: each of 200 blocks in a stage adds a map of unit variance to the sum."
_card = functools.partial(
    ModelCard,
    family="resnet_cifar",
    title="Deep residual learning for image recognition",
    authors="He, Zhang, Ren, Sun",
    year=2015,
    paper="https://arxiv.org/abs/1512.03385",
    input=(3, 32, 32),
    classes=10,
)
_b = functools.partial(
    _card, notes="Option B, 1×1 convolutions for shortcuts that change the shape: the paper tries them on ImageNet."
)
_table_6 = functools.partial(
    Published, source="the paper, table 6", data="CIFAR-10 test", protocol="single net, one view of 32×32"
)


@register(
    _card(
        name="resnet20",
        parameters=269_722,
        macs=40_551_040,
        depth=20,
        published=(_table_6(parameters="0.27 M", top1=91.25),),
    )
)
def resnet20(*, channels: int, size: tuple[int, int], classes: int) -> Network:
    """ResNet-20 for CIFAR-10: three blocks in each of three stages."""
    return CifarResNet(channels, classes, BlockA, 20)


@register(
    _card(
        name="resnet32",
        parameters=464_154,
        macs=68_862_592,
        depth=32,
        published=(_table_6(parameters="0.46 M", top1=92.49),),
    )
)
def resnet32(*, channels: int, size: tuple[int, int], classes: int) -> Network:
    """ResNet-32 for CIFAR-10: five blocks in each of three stages."""
    return CifarResNet(channels, classes, BlockA, 32)


@register(
    _card(
        name="resnet44",
        parameters=658_586,
        macs=97_174_144,
        depth=44,
        published=(_table_6(parameters="0.66 M", top1=92.83),),
    )
)
def resnet44(*, channels: int, size: tuple[int, int], classes: int) -> Network:
    """ResNet-44 for CIFAR-10: seven blocks in each of three stages."""
    return CifarResNet(channels, classes, BlockA, 44)


@register(
    _card(
        name="resnet56",
        parameters=853_018,
        macs=125_485_696,
        depth=56,
        published=(_table_6(parameters="0.85 M", top1=93.03),),
    )
)
def resnet56(*, channels: int, size: tuple[int, int], classes: int) -> Network:
    """ResNet-56 for CIFAR-10: nine blocks in each of three stages."""
    return CifarResNet(channels, classes, BlockA, 56)


@register(
    _card(
        name="resnet110",
        parameters=1_727_962,
        macs=252_887_680,
        depth=110,
        published=(
            _table_6(
                parameters="1.7 M", top1=93.57, protocol="single net, one view of 32×32; the best of 5 (93.39 ± 0.16)"
            ),
        ),
    )
)
def resnet110(*, channels: int, size: tuple[int, int], classes: int) -> Network:
    """ResNet-110 for CIFAR-10: eighteen blocks in each of three stages."""
    return CifarResNet(channels, classes, BlockA, 110)


@register(
    _card(
        name="resnet1202",
        parameters=19_421_274,
        macs=2_829_238_912,
        depth=1202,
        published=(_table_6(parameters="19.4 M", top1=92.07),),
        initial=_SUM_OF_200,
    )
)
def resnet1202(*, channels: int, size: tuple[int, int], classes: int) -> Network:
    """ResNet-1202 for CIFAR-10: two hundred blocks in each of three stages, and worse than 110 layers."""
    return CifarResNet(channels, classes, BlockA, 1202)


@register(_b(name="resnet20_b", parameters=272_474, macs=40_813_184, depth=20))
def resnet20_b(*, channels: int, size: tuple[int, int], classes: int) -> Network:
    """ResNet-20 for CIFAR-10 with 1×1 convolutions where a shortcut changes the shape."""
    return CifarResNet(channels, classes, BlockB, 20)


@register(_b(name="resnet32_b", parameters=466_906, macs=69_124_736, depth=32))
def resnet32_b(*, channels: int, size: tuple[int, int], classes: int) -> Network:
    """ResNet-32 for CIFAR-10 with 1×1 convolutions where a shortcut changes the shape."""
    return CifarResNet(channels, classes, BlockB, 32)


@register(_b(name="resnet44_b", parameters=661_338, macs=97_436_288, depth=44))
def resnet44_b(*, channels: int, size: tuple[int, int], classes: int) -> Network:
    """ResNet-44 for CIFAR-10 with 1×1 convolutions where a shortcut changes the shape."""
    return CifarResNet(channels, classes, BlockB, 44)


@register(_b(name="resnet56_b", parameters=855_770, macs=125_747_840, depth=56))
def resnet56_b(*, channels: int, size: tuple[int, int], classes: int) -> Network:
    """ResNet-56 for CIFAR-10 with 1×1 convolutions where a shortcut changes the shape."""
    return CifarResNet(channels, classes, BlockB, 56)


@register(_b(name="resnet110_b", parameters=1_730_714, macs=253_149_824, depth=110))
def resnet110_b(*, channels: int, size: tuple[int, int], classes: int) -> Network:
    """ResNet-110 for CIFAR-10 with 1×1 convolutions where a shortcut changes the shape."""
    return CifarResNet(channels, classes, BlockB, 110)


@register(_b(name="resnet1202_b", parameters=19_424_026, macs=2_829_501_056, depth=1202, initial=_SUM_OF_200))
def resnet1202_b(*, channels: int, size: tuple[int, int], classes: int) -> Network:
    """ResNet-1202 for CIFAR-10 with 1×1 convolutions where a shortcut changes the shape."""
    return CifarResNet(channels, classes, BlockB, 1202)
