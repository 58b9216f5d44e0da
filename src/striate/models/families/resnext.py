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

from jaxtyping import Float
from torch import Tensor, nn

from striate.layers import Add
from striate.models._reach import Reach
from striate.models._stages import Block
from striate.models._zoo import ModelCard, Network, Published, register
from striate.models.families.resnet import ResNet, projection


class Aggregated(Block):
    """`cardinality` paths (figure 3c), each `path_width` wide where the stage's `width` is 64, and in proportion."""

    last = "relu3"

    def __init__(self, inputs: int, width: int, stride: int, *, cardinality: int, path_width: int) -> None:
        super().__init__()
        self.outputs, self.stride = 4 * width, stride
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

    def reach(self, seen: Reach) -> Reach:
        return seen.window(3, self.stride)


_card = functools.partial(
    ModelCard,
    family="resnext",
    title="Aggregated residual transformations for deep neural networks",
    authors="Xie, Girshick, Dollár, Tu, He",
    year=2016,
    paper="https://arxiv.org/abs/1611.05431",
    input=(3, 224, 224),
    classes=1000,
)
_paper = functools.partial(Published, protocol="single net, one crop, 224×224")
_torchvision = functools.partial(Published, source="https://docs.pytorch.org/vision/stable/models.html")


@register(
    _card(
        name="resnext50_32x4d",
        parameters=25_028_904,
        macs=4_230_479_872,
        depth=50,
        published=(
            _paper(source="the paper, tables 1 and 3", parameters="25.0 M", macs="4.2 G", top1=77.8),
            _torchvision(
                parameters="25.0 M",
                macs="4.23 G",
                top1=77.618,
                top5=93.698,
                protocol="single net, one crop, 224×224; weights IMAGENET1K_V1",
            ),
        ),
    )
)
def resnext50_32x4d(*, channels: int, size: tuple[int, int], classes: int) -> Network:
    """ResNeXt-50 with 32 paths of width 4."""
    return ResNet(channels, classes, functools.partial(Aggregated, cardinality=32, path_width=4), (3, 4, 6, 3))


@register(
    _card(
        name="resnext101_32x4d",
        parameters=44_177_704,
        macs=7_969_996_800,
        depth=101,
        published=(_paper(source="the paper, table 3", top1=78.8),),
    )
)
def resnext101_32x4d(*, channels: int, size: tuple[int, int], classes: int) -> Network:
    """ResNeXt-101 with 32 paths of width 4, the cost of ResNet-101."""
    return ResNet(channels, classes, functools.partial(Aggregated, cardinality=32, path_width=4), (3, 4, 23, 3))


@register(
    _card(
        name="resnext101_32x8d",
        parameters=88_791_336,
        macs=16_414_015_488,
        depth=101,
        published=(
            _torchvision(
                parameters="88.8 M",
                macs="16.41 G",
                top1=79.312,
                top5=94.526,
                protocol="single net, one crop, 224×224; weights IMAGENET1K_V1",
            ),
        ),
        notes="Not in the paper: Mahajan et al., arXiv:1805.00932, made this size usual.",
    )
)
def resnext101_32x8d(*, channels: int, size: tuple[int, int], classes: int) -> Network:
    """ResNeXt-101 with 32 paths of width 8."""
    return ResNet(channels, classes, functools.partial(Aggregated, cardinality=32, path_width=8), (3, 4, 23, 3))


@register(
    _card(
        name="resnext101_64x4d",
        parameters=83_455_272,
        macs=15_460_270_080,
        depth=101,
        published=(
            _paper(source="the paper, table 5", top1=79.6, top5=94.7),
            _torchvision(
                parameters="83.5 M",
                macs="15.46 G",
                top1=83.246,
                top5=96.454,
                protocol="single net, one crop, 224×224; trained by a later recipe",
            ),
        ),
    )
)
def resnext101_64x4d(*, channels: int, size: tuple[int, int], classes: int) -> Network:
    """ResNeXt-101 with 64 paths of width 4, twice the cost of ResNet-101."""
    return ResNet(channels, classes, functools.partial(Aggregated, cardinality=64, path_width=4), (3, 4, 23, 3))
