"""The plain twins of the ResNets: the same layers without the shortcuts, for the experiment that ResNet began with.

He, Zhang, Ren and Sun, "Deep residual learning for image recognition", CVPR 2016, arXiv:1512.03385, sections 3.3, 4.1
and 4.2: plain nets get worse with depth, on the training data too (figures 1, 4 left, 6 left), and their twins do not.

Everything but the missing sums is the ResNet's: batch norm behind each convolution, He's initial weights. A twin has
its ResNet's parameters exactly where that has shortcuts without any (option A, CIFAR-10); on ImageNet the registered
ResNets have 1×1 convolutions in three shortcuts (option B) besides.
"""

from __future__ import annotations

import functools

from jaxtyping import Float
from torch import Tensor, nn

from striate.models._reach import Reach
from striate.models._stages import Block
from striate.models._zoo import ModelCard, Network, Published, register
from striate.models.families.resnet import ResNet
from striate.models.families.resnet_cifar import CifarResNet


class PlainBlock(Block):
    """Two 3×3 convolutions, each with batch norm and ReLU (figure 3, middle)."""

    last = "relu2"

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.outputs, self.stride = width, stride
        self.conv1 = nn.Conv2d(inputs, width, 3, stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(width)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)
        self.relu2 = nn.ReLU()

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k y x"]:
        x = self.relu1(self.norm1(self.conv1(x)))
        return self.relu2(self.norm2(self.conv2(x)))

    def reach(self, seen: Reach) -> Reach:
        return seen.window(3, self.stride).window(3)


_card = functools.partial(
    ModelCard,
    family="plain",
    title="Deep residual learning for image recognition",
    authors="He, Zhang, Ren, Sun",
    year=2015,
    paper="https://arxiv.org/abs/1512.03385",
)
_imagenet = functools.partial(_card, input=(3, 224, 224), classes=1000)
_cifar = functools.partial(_card, input=(3, 32, 32), classes=10)
_ten_crops = functools.partial(Published, protocol="single net, 10 crops, 224×224")


@register(
    _imagenet(
        name="plain18",
        parameters=11_515_688,
        macs=1_794_805_760,
        depth=18,
        published=(_ten_crops(source="the paper, tables 1 and 2", macs="1.8 G", top1=72.06),),
        notes="The twin of resnet18.",
    )
)
def plain18(*, channels: int, size: tuple[int, int], classes: int) -> Network:
    """ResNet-18 without its shortcuts."""
    return ResNet(channels, classes, PlainBlock, (2, 2, 2, 2))


@register(
    _imagenet(
        name="plain34",
        parameters=21_623_848,
        macs=3_644_493_824,
        depth=34,
        published=(_ten_crops(source="the paper, tables 1 and 3", macs="3.6 G", top1=71.46, top5=89.98),),
        notes="The twin of resnet34, and worse than plain18.",
    )
)
def plain34(*, channels: int, size: tuple[int, int], classes: int) -> Network:
    """ResNet-34 without its shortcuts."""
    return ResNet(channels, classes, PlainBlock, (3, 4, 6, 3))


@register(_cifar(name="plain20", parameters=269_722, macs=40_551_040, depth=20, notes="The twin of resnet20."))
def plain20(*, channels: int, size: tuple[int, int], classes: int) -> Network:
    """ResNet-20 for CIFAR-10 without its shortcuts."""
    return CifarResNet(channels, classes, PlainBlock, 20)


@register(_cifar(name="plain32", parameters=464_154, macs=68_862_592, depth=32, notes="The twin of resnet32."))
def plain32(*, channels: int, size: tuple[int, int], classes: int) -> Network:
    """ResNet-32 for CIFAR-10 without its shortcuts."""
    return CifarResNet(channels, classes, PlainBlock, 32)


@register(_cifar(name="plain44", parameters=658_586, macs=97_174_144, depth=44, notes="The twin of resnet44."))
def plain44(*, channels: int, size: tuple[int, int], classes: int) -> Network:
    """ResNet-44 for CIFAR-10 without its shortcuts."""
    return CifarResNet(channels, classes, PlainBlock, 44)


@register(_cifar(name="plain56", parameters=853_018, macs=125_485_696, depth=56, notes="The twin of resnet56."))
def plain56(*, channels: int, size: tuple[int, int], classes: int) -> Network:
    """ResNet-56 for CIFAR-10 without its shortcuts."""
    return CifarResNet(channels, classes, PlainBlock, 56)


@register(
    _cifar(
        name="plain110",
        parameters=1_727_962,
        macs=252_887_680,
        depth=110,
        notes="The twin of resnet110; the paper leaves it out of its figure 6, its error being above 60 %.",
    )
)
def plain110(*, channels: int, size: tuple[int, int], classes: int) -> Network:
    """ResNet-110 for CIFAR-10 without its shortcuts."""
    return CifarResNet(channels, classes, PlainBlock, 110)
