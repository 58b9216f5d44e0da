"""EfficientNet-Lite 0 to 4: EfficientNet for phones, without gates and with activations that quantize well.

Liu, "Higher accuracy on vision models with EfficientNet-Lite", TensorFlow blog, March 2020; the figures are of the
authors' code (tensorflow/tpu, models/official/efficientnet/lite). There is no paper.

Three changes of EfficientNet (arXiv:1905.11946): no squeeze-and-excitation, ReLU6 in place of SiLU, and a stem and a
last 1×1 convolution that are not scaled, nor the number of blocks of the first and the last row. As in the authors'
code, convolutions are padded by TensorFlow's rule.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import replace

from jaxtyping import Float
from torch import Tensor, nn

from striate.layers import Conv2dSame
from striate.models._zoo import register_family
from striate.models.families.efficientnet import (
    TABLE_1,
    Block,
    EfficientNet,
    batch_norm,
    conv_norm,
    scaled_channels,
)


def conv_norm_relu6(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    """Return a convolution with TensorFlow's padding, batch norm and ReLU6."""
    convolution = nn.Conv2d if kernel == 1 else Conv2dSame
    return nn.Sequential(
        OrderedDict(
            conv=convolution(inputs, outputs, kernel, stride, groups=groups, bias=False),
            norm=batch_norm(outputs),
            act=nn.ReLU6(),
        )
    )


class LiteBlock(Block):
    """EfficientNet's inverted bottleneck without the gate: 1×1, k×k depthwise, 1×1 without activation."""

    def __init__(self, inputs: int, outputs: int, *, expansion: int, kernel: int, stride: int, drop: float) -> None:
        super().__init__(inputs, outputs, stride, drop, otherwise="project.norm")
        hidden = inputs * expansion
        self.expand = conv_norm_relu6(inputs, hidden, 1) if expansion > 1 else nn.Identity()
        self.depthwise = conv_norm_relu6(hidden, hidden, kernel, stride, groups=hidden)
        self.project = conv_norm(hidden, outputs)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k y x"]:
        return self.join(self.project(self.depthwise(self.expand(x))), x)


def _lite(channels: int, classes: int, *, width: float, depth: float, dropout: float) -> EfficientNet:
    ends = (0, len(TABLE_1) - 1)
    return EfficientNet(
        channels,
        classes,
        stem=32,
        rows=[
            replace(
                row,
                operator=LiteBlock,
                channels=scaled_channels(row.channels, width),
                blocks=row.blocks if number in ends else math.ceil(row.blocks * depth),
            )
            for number, row in enumerate(TABLE_1)
        ],
        top=1280,
        dropout=dropout,
        conv=conv_norm_relu6,
    )


VARIANTS = {
    "efficientnet_lite0": dict(width=1.0, depth=1.0, dropout=0.2),
    "efficientnet_lite1": dict(width=1.0, depth=1.1, dropout=0.2),
    "efficientnet_lite2": dict(width=1.1, depth=1.2, dropout=0.3),
    "efficientnet_lite3": dict(width=1.2, depth=1.4, dropout=0.3),
    "efficientnet_lite4": dict(width=1.4, depth=1.8, dropout=0.3),
}
register_family("efficientnet_lite", _lite, VARIANTS)
