"""EfficientNetV2: EfficientNet that trains faster, its early blocks fused into plain 3×3 convolutions.

Tan and Le, "EfficientNetV2: smaller models and faster training", ICML 2021, arXiv:2104.00298.

Depthwise convolutions have few operations, but on the large maps early in a network they are slow. Fused-MBConv
(figure 2) puts one 3×3 convolution in the place of the 1×1 expansion and the depthwise convolution. A search chose
where, and gave S (table 4); M and L are S scaled, with more blocks added late in the network (section 3.3).

From the authors' code (github.com/google/automl, efficientnetv2) are the rows of M and L, that fused blocks have no
gate, and the base network of B0 to B3, which was made to be compared with EfficientNet and is scaled by its factors.
Norms, stochastic depth, first weights and padding are as in `efficientnet.py`.
"""

from __future__ import annotations

import functools
import math
from dataclasses import replace

from jaxtyping import Float
from torch import Tensor, nn

from striate.models._zoo import register_family
from striate.models.families.efficientnet import Block, EfficientNet, MBConv, Row, conv_norm, conv_norm_act


class FusedMBConv(Block):
    """k×k to `expansion` times the channels, then 1×1 to `outputs` without activation (figure 2, right).

    Where nothing is expanded there is one k×k convolution, with activation.
    """

    def __init__(self, inputs: int, outputs: int, *, expansion: int, kernel: int, stride: int, drop: float) -> None:
        super().__init__(inputs, outputs, stride, drop, otherwise="expand.act" if expansion == 1 else "project.norm")
        hidden = inputs * expansion
        self.expand = conv_norm_act(inputs, outputs if expansion == 1 else hidden, kernel, stride)
        self.project = nn.Identity() if expansion == 1 else conv_norm(hidden, outputs)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k y x"]:
        return self.join(self.project(self.expand(x)), x)


_fused = functools.partial(Row, FusedMBConv, kernel=3)
_mbconv = functools.partial(Row, MBConv, kernel=3)

# Columns: expansion, stride of the first block, channels, blocks.
BASE = (
    _fused(expansion=1, stride=1, channels=16, blocks=1),
    _fused(expansion=4, stride=2, channels=32, blocks=2),
    _fused(expansion=4, stride=2, channels=48, blocks=2),
    _mbconv(expansion=4, stride=2, channels=96, blocks=3),
    _mbconv(expansion=6, stride=1, channels=112, blocks=5),
    _mbconv(expansion=6, stride=2, channels=192, blocks=8),
)
S = (
    _fused(expansion=1, stride=1, channels=24, blocks=2),
    _fused(expansion=4, stride=2, channels=48, blocks=4),
    _fused(expansion=4, stride=2, channels=64, blocks=4),
    _mbconv(expansion=4, stride=2, channels=128, blocks=6),
    _mbconv(expansion=6, stride=1, channels=160, blocks=9),
    _mbconv(expansion=6, stride=2, channels=256, blocks=15),
)
M = (
    _fused(expansion=1, stride=1, channels=24, blocks=3),
    _fused(expansion=4, stride=2, channels=48, blocks=5),
    _fused(expansion=4, stride=2, channels=80, blocks=5),
    _mbconv(expansion=4, stride=2, channels=160, blocks=7),
    _mbconv(expansion=6, stride=1, channels=176, blocks=14),
    _mbconv(expansion=6, stride=2, channels=304, blocks=18),
    _mbconv(expansion=6, stride=1, channels=512, blocks=5),
)
L = (
    _fused(expansion=1, stride=1, channels=32, blocks=4),
    _fused(expansion=4, stride=2, channels=64, blocks=7),
    _fused(expansion=4, stride=2, channels=96, blocks=7),
    _mbconv(expansion=4, stride=2, channels=192, blocks=10),
    _mbconv(expansion=6, stride=1, channels=224, blocks=19),
    _mbconv(expansion=6, stride=2, channels=384, blocks=25),
    _mbconv(expansion=6, stride=1, channels=640, blocks=7),
)


def _scaled_channels(channels: int, width: float) -> int:
    """`channels` times `width`, rounded to the nearest multiple of 8 (a half up); EfficientNet's bound is not kept."""
    return int(channels * width + 4) // 8 * 8


def _scaled(channels: int, classes: int, *, width: float, depth: float, dropout: float) -> EfficientNet:
    """Return the base network, scaled by EfficientNet's rule."""
    return EfficientNet(
        channels,
        classes,
        stem=_scaled_channels(32, width),
        rows=[
            replace(row, channels=_scaled_channels(row.channels, width), blocks=math.ceil(row.blocks * depth))
            for row in BASE
        ],
        top=_scaled_channels(1280, width),
        dropout=dropout,
    )


SCALED = {
    "efficientnet_v2_b0": dict(width=1.0, depth=1.0, dropout=0.2),
    "efficientnet_v2_b1": dict(width=1.0, depth=1.1, dropout=0.2),
    "efficientnet_v2_b2": dict(width=1.1, depth=1.2, dropout=0.3),
    "efficientnet_v2_b3": dict(width=1.2, depth=1.4, dropout=0.3),
}
SEARCHED = {
    "efficientnet_v2_s": dict(stem=24, rows=S, top=1280, dropout=0.2),
    "efficientnet_v2_m": dict(stem=24, rows=M, top=1280, dropout=0.3),
    "efficientnet_v2_l": dict(stem=32, rows=L, top=1280, dropout=0.4),
}
register_family("efficientnet_v2", _scaled, SCALED)
register_family("efficientnet_v2", EfficientNet, SEARCHED)
