"""Wide ResNets: fewer layers, with many times the filters.

Zagoruyko and Komodakis, "Wide residual networks", BMVC 2016, arXiv:1605.07146.

WRN-d-k for CIFAR (table 1) has d = 6n + 4 layers: a 3×3 convolution of 16 filters, three stages of n pre-activated
blocks with 16k, 32k and 64k, batch norm and ReLU, the means, one layer. (That d counts the 1×1 convolutions in three
shortcuts, and not the last layer: the longest path, the depth on our cards, has two layers less.) Where a block changes
the shape, its shortcut is a 1×1 convolution that begins, as the branch does, behind the first activation (the authors'
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
from striate.models._reach import Reach
from striate.models._stages import Block, Stages
from striate.models._zoo import ModelCard, Network, Published, register
from striate.models.families.resnet import ResNet, projection


class WideBlock(Block):
    """Norm, ReLU, 3×3; norm, ReLU, dropout, 3×3 (figure 1d)."""

    last = "add"

    def __init__(self, inputs: int, width: int, stride: int, dropout: float) -> None:
        super().__init__()
        self.outputs, self.stride = width, stride
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

    def reach(self, seen: Reach) -> Reach:
        return seen.window(3, self.stride).window(3)


class WideResNet(Network):
    """Table 1: WRN-`layers`-`widening`."""

    head = "fc"

    def __init__(self, channels: int, classes: int, layers: int, widening: int, dropout: float = 0.0) -> None:
        super().__init__()
        blocks = (layers - 4) // 6
        self.conv1 = nn.Conv2d(channels, 16, 3, padding=1, bias=False)
        seen = Reach().window(3)
        stem = seen.place("stem", "conv1", 16)
        stages = Stages(functools.partial(WideBlock, dropout=dropout), 16, seen)
        self.stage1 = stages.stack(16 * widening, blocks)
        self.stage2 = stages.stack(32 * widening, blocks, stride=2)
        self.stage3 = stages.stack(64 * widening, blocks, stride=2)
        self.norm = nn.BatchNorm2d(stages.outputs)
        self.relu = nn.ReLU()
        # The last map is the one that is averaged; those before it are sums, which the next block activates.
        self.feature_maps = (stem, *stages.maps[:-1], stages.seen.place("stage3", "relu", stages.outputs))
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
        self.outputs, self.stride = 4 * width, stride
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

    def reach(self, seen: Reach) -> Reach:
        return seen.window(3, self.stride)


_card = functools.partial(
    ModelCard,
    family="wide_resnet",
    title="Wide residual networks",
    authors="Zagoruyko, Komodakis",
    year=2016,
    paper="https://arxiv.org/abs/1605.07146",
)


def _counted_by_name(layers: int) -> str:
    return f"The name's {layers} counts all convolutions, those of three shortcuts too, and not the classifier."


_cifar = functools.partial(_card, input=(3, 32, 32), classes=10)
_cifar_test = functools.partial(Published, data="CIFAR-10 test", protocol="single net, one view, the median of 5")


@register(
    _cifar(
        name="wide_resnet16_8",
        parameters=10_961_370,
        macs=1_548_145_664,
        depth=14,
        published=(_cifar_test(source="the paper, table 5", parameters="11.0 M", top1=95.73),),
        notes=_counted_by_name(16),
    )
)
def wide_resnet16_8(*, channels: int, size: tuple[int, int], classes: int) -> Network:
    """WRN-16-8 for CIFAR: two blocks in each of three stages, eight times as wide."""
    return WideResNet(channels, classes, 16, 8)


@register(
    _cifar(
        name="wide_resnet28_10",
        parameters=36_479_194,
        macs=5_243_328_768,
        depth=26,
        published=(_cifar_test(source="the paper, table 5", parameters="36.5 M", top1=96.00),),
        notes=_counted_by_name(28),
    )
)
def wide_resnet28_10(*, channels: int, size: tuple[int, int], classes: int) -> Network:
    """WRN-28-10 for CIFAR: four blocks in each of three stages, ten times as wide."""
    return WideResNet(channels, classes, 28, 10)


@register(
    _cifar(
        name="wide_resnet28_10_dropout",
        parameters=36_479_194,
        macs=5_243_328_768,
        depth=26,
        published=(_cifar_test(source="the paper, table 6", top1=96.11),),
        notes=_counted_by_name(28),
    )
)
def wide_resnet28_10_dropout(*, channels: int, size: tuple[int, int], classes: int) -> Network:
    """WRN-28-10 for CIFAR with dropout of 0.3 between the convolutions of each block."""
    return WideResNet(channels, classes, 28, 10, dropout=0.3)


@register(
    _cifar(
        name="wide_resnet40_4",
        parameters=8_949_210,
        macs=1_298_582_016,
        depth=38,
        published=(_cifar_test(source="the paper, table 5", parameters="8.9 M", top1=95.47),),
        notes=_counted_by_name(40),
    )
)
def wide_resnet40_4(*, channels: int, size: tuple[int, int], classes: int) -> Network:
    """WRN-40-4 for CIFAR: six blocks in each of three stages, four times as wide."""
    return WideResNet(channels, classes, 40, 4)


@register(
    _card(
        name="wide_resnet50_2",
        input=(3, 224, 224),
        classes=1000,
        parameters=68_883_240,
        macs=11_398_021_120,
        depth=50,
        published=(
            Published(
                source="https://github.com/szagoruyko/wide-residual-networks",
                top1=78.1,
                top5=93.97,
                protocol="single net, one crop",
            ),
            Published(
                source="https://docs.pytorch.org/vision/stable/models.html",
                parameters="68.9 M",
                macs="11.40 G",
                top1=78.468,
                top5=94.086,
                protocol="single net, one crop, 224×224; weights IMAGENET1K_V1",
            ),
        ),
    )
)
def wide_resnet50_2(*, channels: int, size: tuple[int, int], classes: int) -> Network:
    """WRN-50-2 for ImageNet: ResNet-50 with bottlenecks twice as wide inside."""
    return ResNet(channels, classes, functools.partial(WideBottleneck, widening=2), (3, 4, 6, 3))
