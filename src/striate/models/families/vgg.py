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

import math
from collections import OrderedDict
from typing import Literal

from jaxtyping import Float
from torch import Tensor, nn

from striate.layers import LocalResponseNorm, xavier_
from striate.models._zoo import Network, register_family
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
        EmptyMapError: the images have a side of less than 32 pixels.
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
        self.feature_maps = {
            f"stage{block}": f"features.relu{block}_{len(kernels)}" for block, kernels in enumerate(blocks, start=1)
        }
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


VARIANTS = {
    "vgg11": dict(blocks=_A),
    "vgg11_lrn": dict(blocks=_A, norm="response"),
    "vgg13": dict(blocks=_B),
    "vgg16_1x1": dict(blocks=_C),
    "vgg16": dict(blocks=_D),
    "vgg19": dict(blocks=_E),
    "vgg11_bn": dict(blocks=_A, norm="batch"),
    "vgg13_bn": dict(blocks=_B, norm="batch"),
    "vgg16_1x1_bn": dict(blocks=_C, norm="batch"),
    "vgg16_bn": dict(blocks=_D, norm="batch"),
    "vgg19_bn": dict(blocks=_E, norm="batch"),
}
register_family("vgg", VGG, VARIANTS)
