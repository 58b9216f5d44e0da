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

from striate.models._reach import Reach
from striate.models._zoo import ModelCard, Network, Published, register
from striate.models.families.efficientnet import PADDED, Block, EfficientNet, MBConv, Row, conv_norm, conv_norm_act


class FusedMBConv(Block):
    """k×k to `expansion` times the channels, then 1×1 to `outputs` without activation (figure 2, right).

    Where nothing is expanded there is one k×k convolution, with activation.
    """

    def __init__(self, inputs: int, outputs: int, *, expansion: int, kernel: int, stride: int, drop: float) -> None:
        super().__init__(inputs, outputs, stride, drop, otherwise="expand.act" if expansion == 1 else "project.norm")
        hidden = inputs * expansion
        self.expand = conv_norm_act(inputs, outputs if expansion == 1 else hidden, kernel, stride)
        self.project = nn.Identity() if expansion == 1 else conv_norm(hidden, outputs)
        self._window = kernel, stride

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k y x"]:
        return self.join(self.project(self.expand(x)), x)

    def reach(self, seen: Reach) -> Reach:
        return seen.window(*self._window)


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
    """The base network, scaled by EfficientNet's rule."""
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


_card = functools.partial(
    ModelCard,
    family="efficientnet_v2",
    title="EfficientNetV2: smaller models and faster training",
    authors="Tan, Le",
    year=2021,
    paper="https://arxiv.org/abs/2104.00298",
    classes=1000,
    notes=PADDED,
)
_table_7 = functools.partial(Published, source="the paper, table 7", protocol="single net, one crop")
_release = functools.partial(
    Published,
    source="https://github.com/google/automl/tree/master/efficientnetv2",
    protocol="single net, one crop",
)


@register(
    _card(
        name="efficientnet_v2_b0",
        input=(3, 224, 224),
        parameters=7_139_704,
        macs=718_086_176,
        depth=92,
        published=(_release(parameters="7.1 M", macs="0.72 G", top1=78.7),),
    )
)
def efficientnet_v2_b0(*, channels: int, size: tuple[int, int], classes: int) -> Network:
    """EfficientNetV2-B0: the base network."""
    return _scaled(channels, classes, width=1.0, depth=1.0, dropout=0.2)


@register(
    _card(
        name="efficientnet_v2_b1",
        input=(3, 240, 240),
        parameters=8_141_052,
        macs=1_196_819_360,
        depth=112,
        published=(_release(parameters="8.1 M", macs="1.2 G", top1=79.8),),
    )
)
def efficientnet_v2_b1(*, channels: int, size: tuple[int, int], classes: int) -> Network:
    """EfficientNetV2-B1: the base network with widths times 1.0 and depths times 1.1, meant for 240×240."""
    return _scaled(channels, classes, width=1.0, depth=1.1, dropout=0.2)


@register(
    _card(
        name="efficientnet_v2_b2",
        input=(3, 260, 260),
        parameters=10_096_086,
        macs=1_697_542_832,
        depth=117,
        published=(_release(parameters="10.1 M", macs="1.7 G", top1=80.5),),
    )
)
def efficientnet_v2_b2(*, channels: int, size: tuple[int, int], classes: int) -> Network:
    """EfficientNetV2-B2: the base network with widths times 1.1 and depths times 1.2, meant for 260×260."""
    return _scaled(channels, classes, width=1.1, depth=1.2, dropout=0.3)


@register(
    _card(
        name="efficientnet_v2_b3",
        input=(3, 300, 300),
        parameters=14_358_406,
        macs=3_011_458_816,
        depth=137,
        published=(_release(parameters="14.4 M", macs="3.0 G", top1=82.1),),
    )
)
def efficientnet_v2_b3(*, channels: int, size: tuple[int, int], classes: int) -> Network:
    """EfficientNetV2-B3: the base network with widths times 1.2 and depths times 1.4, meant for 300×300."""
    return _scaled(channels, classes, width=1.2, depth=1.4, dropout=0.3)


@register(
    _card(
        name="efficientnet_v2_s",
        input=(3, 384, 384),
        parameters=21_458_488,
        macs=8_365_617_152,
        depth=171,
        published=(
            _table_7(parameters="22 M", macs="8.8 G", top1=83.9, differs="table 4 gives 21.5 M and 8.4 G"),
            _release(parameters="21.5 M", macs="8.4 G", top1=83.9),
        ),
    )
)
def efficientnet_v2_s(*, channels: int, size: tuple[int, int], classes: int) -> Network:
    """EfficientNetV2-S, meant for 384×384."""
    return EfficientNet(channels, classes, stem=24, rows=S, top=1280, dropout=0.2)


@register(
    _card(
        name="efficientnet_v2_m",
        input=(3, 480, 480),
        parameters=54_139_356,
        macs=24_582_460_384,
        depth=246,
        published=(
            _table_7(parameters="54 M", macs="24 G", top1=85.1, differs="the released rows give 24.6 G"),
            _release(parameters="54.1 M", macs="24.7 G", top1=85.2, differs="its rows give 24.6 G"),
        ),
    )
)
def efficientnet_v2_m(*, channels: int, size: tuple[int, int], classes: int) -> Network:
    """EfficientNetV2-M, meant for 480×480."""
    return EfficientNet(channels, classes, stem=24, rows=M, top=1280, dropout=0.3)


@register(
    _card(
        name="efficientnet_v2_l",
        input=(3, 480, 480),
        parameters=118_515_272,
        macs=56_079_699_008,
        depth=340,
        published=(
            _table_7(parameters="120 M", macs="53 G", top1=85.7, differs="the released rows give 118.5 M and 56.1 G"),
            _release(parameters="119.5 M", macs="56.3 G", top1=85.7, differs="its rows give 118.5 M and 56.1 G"),
        ),
    )
)
def efficientnet_v2_l(*, channels: int, size: tuple[int, int], classes: int) -> Network:
    """EfficientNetV2-L, meant for 480×480."""
    return EfficientNet(channels, classes, stem=32, rows=L, top=1280, dropout=0.4)
