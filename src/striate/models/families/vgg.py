"""VGG: depth from small kernels.

Simonyan and Zisserman, "Very deep convolutional networks for large-scale image recognition", ICLR 2015,
arXiv:1409.1556: table 1 for the configurations A to E, table 2 for their parameters, table 3 for the results.

Five blocks of 3×3 convolutions, each closed by a 2×2 max pooling, then three fully connected layers. Two 3×3 layers see
as much as one of 5×5, three as much as one of 7×7, with fewer weights and more ReLUs between (section 2.3). In C, the
third layers of the last three blocks are 1×1. A-LRN is A with AlexNet's response normalisation after its first ReLU.

First weights: the authors started the deeper networks from a trained A, and note (section 3.1) that Glorot's random
weights make that needless. Those are here; they halve the variance with each ReLU, so first logits are small. With
batch norm (Ioffe and Szegedy, arXiv:1502.03167; not in the paper, and with torch's momentum and epsilon) a convolution
keeps its bias, which the norm makes idle, because everyone's weights for these networks have one.
"""

from __future__ import annotations

import functools
import math
from collections import OrderedDict
from typing import Literal

from jaxtyping import Float
from torch import Tensor, nn

from striate.core.protocols import FeatureMap
from striate.layers import LocalResponseNorm, xavier_
from striate.models._reach import Reach
from striate.models._zoo import ModelCard, Network, Published, register
from striate.tracing import output_shape

Blocks = tuple[tuple[int, ...], ...]

_WIDTHS = (64, 128, 256, 512, 512)
# Table 1: for each block the kernels of its convolutions.
_A: Blocks = ((3,), (3,), (3, 3), (3, 3), (3, 3))
_B: Blocks = ((3, 3), (3, 3), (3, 3), (3, 3), (3, 3))
_C: Blocks = ((3, 3), (3, 3), (3, 3, 1), (3, 3, 1), (3, 3, 1))
_D: Blocks = ((3, 3), (3, 3), (3, 3, 3), (3, 3, 3), (3, 3, 3))
_E: Blocks = ((3, 3), (3, 3), (3, 3, 3, 3), (3, 3, 3, 3), (3, 3, 3, 3))


class VGG(Network):
    """Five blocks of convolutions and three fully connected layers.

    `norm` is "" for the paper's networks, "batch" for batch norm after each convolution, "response" for response
    normalisation after the first ReLU.

    Raises:
        EmptyMapError: the pictures have a side of less than 32 pixels.
    """

    head = "fc8"

    def __init__(
        self,
        channels: int,
        size: tuple[int, int],
        classes: int,
        blocks: Blocks,
        norm: Literal["", "batch", "response"] = "",
    ) -> None:
        super().__init__()
        self.features = nn.Sequential(_features(channels, blocks, norm))
        self.flatten = nn.Flatten()
        self.fc6 = nn.Linear(math.prod(output_shape(self.features, (channels, *size))), 4096)
        self.relu6 = nn.ReLU()
        self.drop6 = nn.Dropout(0.5)
        self.fc7 = nn.Linear(4096, 4096)
        self.relu7 = nn.ReLU()
        self.drop7 = nn.Dropout(0.5)
        self.fc8 = nn.Linear(4096, classes)
        self.feature_maps = _feature_maps(blocks)
        xavier_(self)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k"]:
        x = self.flatten(self.features(x))
        x = self.drop6(self.relu6(self.fc6(x)))
        x = self.drop7(self.relu7(self.fc7(x)))
        return self.fc8(x)


def _features(channels: int, blocks: Blocks, norm: str) -> OrderedDict[str, nn.Module]:
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    inputs = channels
    for block, (kernels, width) in enumerate(zip(blocks, _WIDTHS, strict=True), start=1):
        for number, kernel in enumerate(kernels, start=1):
            layers[f"conv{block}_{number}"] = nn.Conv2d(inputs, width, kernel, padding=kernel // 2)
            if norm == "batch":
                layers[f"norm{block}_{number}"] = nn.BatchNorm2d(width)
            layers[f"relu{block}_{number}"] = nn.ReLU()
            inputs = width
        if norm == "response" and block == 1:
            layers["norm1"] = LocalResponseNorm()
        layers[f"pool{block}"] = nn.MaxPool2d(2)
    return layers


def _feature_maps(blocks: Blocks) -> tuple[FeatureMap, ...]:
    maps, reach = [], Reach()
    for block, (kernels, width) in enumerate(zip(blocks, _WIDTHS, strict=True), start=1):
        for kernel in kernels:
            reach = reach.window(kernel)
        maps.append(reach.place(f"stage{block}", f"features.relu{block}_{len(kernels)}", width))
        reach = reach.window(2, 2)
    return tuple(maps)


_card = functools.partial(
    ModelCard,
    family="vgg",
    title="Very deep convolutional networks for large-scale image recognition",
    authors="Simonyan, Zisserman",
    year=2014,
    paper="https://arxiv.org/abs/1409.1556",
    input=(3, 224, 224),
    classes=1000,
)
_fading = "Glorot's weights, which the paper names, halve the variance with each ReLU, so that first logits are small."
_plain = functools.partial(_card, initial=_fading)
_table3 = functools.partial(
    Published,
    source="the paper, table 3 (parameters: table 2)",
    protocol="single net, one scale (256 pixels; trained at 256), dense over the whole picture, 2014",
)
_jittered = "single net, one scale (384 pixels; trained at 256 to 512), dense over the whole picture, 2014"


_torchvision = functools.partial(
    Published,
    source="https://docs.pytorch.org/vision/stable/models.html",
    protocol="single net, one crop, 224×224; weights IMAGENET1K_V1",
)


@register(
    _plain(
        name="vgg11",
        parameters=132_863_336,
        macs=7_609_090_048,
        depth=11,
        published=(
            _table3(parameters="133 M", top1=70.4, top5=89.6),
            _torchvision(macs="7.61 G", top1=69.02, top5=88.628),
        ),
    )
)
def vgg11(*, channels: int, size: tuple[int, int], classes: int) -> Network:
    """VGG A, for pictures from 32×32 pixels on."""
    return VGG(channels, size, classes, _A)


@register(
    _plain(
        name="vgg11_lrn",
        parameters=132_863_336,
        macs=7_609_090_048,
        depth=11,
        published=(_table3(parameters="133 M", top1=70.3, top5=89.5),),
    )
)
def vgg11_lrn(*, channels: int, size: tuple[int, int], classes: int) -> Network:
    """VGG A-LRN: A with response normalisation, which the paper found to be of no use."""
    return VGG(channels, size, classes, _A, norm="response")


@register(
    _plain(
        name="vgg13",
        parameters=133_047_848,
        macs=11_308_466_176,
        depth=13,
        published=(
            _table3(parameters="133 M", top1=71.3, top5=90.1),
            _torchvision(macs="11.31 G", top1=69.928, top5=89.246),
        ),
    )
)
def vgg13(*, channels: int, size: tuple[int, int], classes: int) -> Network:
    """VGG B, for pictures from 32×32 pixels on."""
    return VGG(channels, size, classes, _B)


@register(
    _plain(
        name="vgg16_1x1",
        parameters=133_638_952,
        macs=11_770_888_192,
        depth=16,
        published=(
            _table3(parameters="134 M", top1=71.9, top5=90.6),
            _table3(parameters="134 M", top1=72.7, top5=91.2, protocol=_jittered),
        ),
    )
)
def vgg16_1x1(*, channels: int, size: tuple[int, int], classes: int) -> Network:
    """VGG C: 16 layers, three of them 1×1 convolutions."""
    return VGG(channels, size, classes, _C)


@register(
    _plain(
        name="vgg16",
        parameters=138_357_544,
        macs=15_470_264_320,
        depth=16,
        published=(
            _table3(parameters="138 M", top1=73.0, top5=91.2),
            _table3(parameters="138 M", top1=74.4, top5=91.9, protocol=_jittered),
            _torchvision(macs="15.47 G", top1=71.592, top5=90.382),
        ),
    )
)
def vgg16(*, channels: int, size: tuple[int, int], classes: int) -> Network:
    """VGG D, the one that everybody uses, for pictures from 32×32 pixels on."""
    return VGG(channels, size, classes, _D)


@register(
    _plain(
        name="vgg19",
        parameters=143_667_240,
        macs=19_632_062_464,
        depth=19,
        published=(
            _table3(parameters="144 M", top1=72.7, top5=91.0),
            _table3(parameters="144 M", top1=74.5, top5=92.0, protocol=_jittered),
            _torchvision(macs="19.63 G", top1=72.376, top5=90.876),
        ),
    )
)
def vgg19(*, channels: int, size: tuple[int, int], classes: int) -> Network:
    """VGG E, for pictures from 32×32 pixels on."""
    return VGG(channels, size, classes, _E)


@register(
    _card(
        name="vgg11_bn",
        parameters=132_868_840,
        macs=7_609_090_048,
        depth=11,
        published=(_torchvision(macs="7.61 G", top1=70.37, top5=89.81),),
    )
)
def vgg11_bn(*, channels: int, size: tuple[int, int], classes: int) -> Network:
    """VGG A with batch norm."""
    return VGG(channels, size, classes, _A, norm="batch")


@register(
    _card(
        name="vgg13_bn",
        parameters=133_053_736,
        macs=11_308_466_176,
        depth=13,
        published=(_torchvision(macs="11.31 G", top1=71.586, top5=90.374),),
    )
)
def vgg13_bn(*, channels: int, size: tuple[int, int], classes: int) -> Network:
    """VGG B with batch norm."""
    return VGG(channels, size, classes, _B, norm="batch")


@register(_card(name="vgg16_1x1_bn", parameters=133_647_400, macs=11_770_888_192, depth=16))
def vgg16_1x1_bn(*, channels: int, size: tuple[int, int], classes: int) -> Network:
    """VGG C with batch norm."""
    return VGG(channels, size, classes, _C, norm="batch")


@register(
    _card(
        name="vgg16_bn",
        parameters=138_365_992,
        macs=15_470_264_320,
        depth=16,
        published=(_torchvision(macs="15.47 G", top1=73.36, top5=91.516),),
    )
)
def vgg16_bn(*, channels: int, size: tuple[int, int], classes: int) -> Network:
    """VGG D with batch norm."""
    return VGG(channels, size, classes, _D, norm="batch")


@register(
    _card(
        name="vgg19_bn",
        parameters=143_678_248,
        macs=19_632_062_464,
        depth=19,
        published=(_torchvision(macs="19.63 G", top1=74.218, top5=91.842),),
    )
)
def vgg19_bn(*, channels: int, size: tuple[int, int], classes: int) -> Network:
    """VGG E with batch norm."""
    return VGG(channels, size, classes, _E, norm="batch")
