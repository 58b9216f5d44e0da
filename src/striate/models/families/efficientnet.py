"""EfficientNet B0 to B7: one small network, made wider, deeper and finer all at once.

Tan and Le, "EfficientNet: rethinking model scaling for convolutional neural networks", ICML 2019, arXiv:1905.11946.

A search found B0 (table 1): inverted bottlenecks with squeeze-and-excitation. The others are B0 with every width times
w, every number of blocks times d, and larger images (section 3.3):

    d = α^φ,  w = β^φ,  r = γ^φ        with α = 1.2, β = 1.1, γ = 1.15, so that α·β²·γ² ≈ 2 and φ doubles the cost

With φ = 0.5, 1 and 2, rounded to one place, these are the factors of B1, B2 and B3. The paper prints no factors; those
of B4 to B7 are the authors' released ones, which are no powers of the three constants.

From the paper (section 5.2) are batch norm's momentum of 0.99 (0.01 as torch counts it), SiLU, stochastic depth whose
last block survives with 0.8, and dropout of 0.2 to 0.5. What it leaves open is as in the authors' code: channels are
rounded to multiples of 8, numbers of blocks up; batch norm's epsilon is 0.001; the gate is a quarter as wide as the
block's input; first weights are normal with variance 2 / fan-out, the last layer's uniform in ±1 / √classes. That code
pads by TensorFlow's rule; here both ends are padded alike.
"""

from __future__ import annotations

import functools
import math
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from jaxtyping import Float
from torch import Tensor, nn

from striate.layers import Add, GlobalAveragePool, SqueezeExcitation, StochasticDepth, he_
from striate.models._zoo import Network, register_family

batch_norm = functools.partial(nn.BatchNorm2d, eps=1e-3, momentum=0.01)
_DROP = 0.2  # with stochastic depth, the l-th of L blocks (from 0) is dropped at the rate 0.2 · l / L


def conv_norm_act(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    """Return a convolution, batch norm and SiLU; an odd `kernel` keeps the size except for the stride."""
    return nn.Sequential(
        OrderedDict(
            conv=nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
            norm=batch_norm(outputs),
            act=nn.SiLU(),
        )
    )


def conv_norm(inputs: int, outputs: int) -> nn.Sequential:
    """Return a 1×1 convolution and batch norm: a bottleneck's output stays linear (arXiv:1801.04381, section 3.2)."""
    return nn.Sequential(OrderedDict(conv=nn.Conv2d(inputs, outputs, 1, bias=False), norm=batch_norm(outputs)))


class Block(nn.Module):
    """The end of every block: its input is added to the result where stride and channels allow.

    `last` is the path of the module whose output is the block's.
    """

    def __init__(self, inputs: int, outputs: int, stride: int, drop: float, otherwise: str) -> None:
        super().__init__()
        self.residual = stride == 1 and inputs == outputs
        self.last = "add" if self.residual else otherwise
        if self.residual:
            self.drop = StochasticDepth(drop)
            self.add = Add()

    def join(self, branch: Float[Tensor, "n c h w"], x: Float[Tensor, "n k y x"]) -> Float[Tensor, "n c h w"]:
        return self.add(self.drop(branch), x) if self.residual else branch


class MBConv(Block):
    """The inverted bottleneck (MobileNetV2, arXiv:1801.04381, figure 3b; with the gate MnasNet, arXiv:1807.11626).

    1×1 to `expansion` times the channels, k×k depthwise, squeeze-and-excitation, 1×1 to `outputs` without activation.
    """

    def __init__(self, inputs: int, outputs: int, *, expansion: int, kernel: int, stride: int, drop: float) -> None:
        super().__init__(inputs, outputs, stride, drop, otherwise="project.norm")
        hidden = inputs * expansion
        self.expand = conv_norm_act(inputs, hidden, 1) if expansion > 1 else nn.Identity()
        self.depthwise = conv_norm_act(hidden, hidden, kernel, stride, groups=hidden)
        self.gate = SqueezeExcitation(hidden, max(1, inputs // 4), activation=nn.SiLU)
        self.project = conv_norm(hidden, outputs)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k y x"]:
        return self.join(self.project(self.gate(self.depthwise(self.expand(x)))), x)


@dataclass(frozen=True)
class Row:
    """A row of the table that defines a network.

    `blocks` blocks of the kind `operator`; the first moves by `stride` and changes the channels.
    """

    operator: Callable[..., Block]
    expansion: int
    kernel: int
    stride: int
    channels: int
    blocks: int

    def build(self, inputs: int, rates: Iterator[float]) -> Iterator[Block]:
        """Return the blocks in order, each with the next of `rates` for its stochastic depth."""
        for number in range(self.blocks):
            yield self.operator(
                self.channels if number else inputs,
                self.channels,
                expansion=self.expansion,
                kernel=self.kernel,
                stride=1 if number else self.stride,
                drop=next(rates),
            )


class EfficientNet(Network):
    """A stem of `stem` channels, stages by `rows`, a 1×1 convolution of `top` channels, and a classifier of means.

    A stage begins where the map shrinks; the last one ends after the 1×1 convolution. `conv` makes the first and the
    last convolution, with their norms and activations.
    """

    head = "fc"

    def __init__(
        self,
        channels: int,
        classes: int,
        *,
        stem: int,
        rows: Sequence[Row],
        top: int,
        dropout: float,
        conv: Callable[..., nn.Sequential] = conv_norm_act,
    ) -> None:
        super().__init__()
        self.stem = conv(channels, stem, 3, stride=2)
        self.stages = nn.Sequential()
        self.feature_maps = {"stem": "stem.act"}
        inputs, total = stem, sum(row.blocks for row in rows)
        rates = (_DROP * number / total for number in range(total))
        stage, name = self.stages, ""
        for row in rows:
            if row.stride > 1 or not name:
                name, stage = f"stage{len(self.stages) + 1}", nn.Sequential()
                self.stages.add_module(name, stage)
            for block in row.build(inputs, rates):
                stage.add_module(f"block{len(stage) + 1}", block)
                self.feature_maps[name] = f"stages.{name}.block{len(stage)}.{block.last}"
            inputs = row.channels
        self.top = conv(inputs, top, 1)
        self.feature_maps[name] = "top.act"
        self.pool = GlobalAveragePool()
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(top, classes)
        he_(self, fan="out")
        if not self.fc.weight.is_meta:
            nn.init.uniform_(self.fc.weight, -1 / math.sqrt(classes), 1 / math.sqrt(classes))

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k"]:
        x = self.top(self.stages(self.stem(x)))
        return self.fc(self.dropout(self.pool(x)))


TABLE_1 = (
    Row(MBConv, expansion=1, kernel=3, stride=1, channels=16, blocks=1),
    Row(MBConv, expansion=6, kernel=3, stride=2, channels=24, blocks=2),
    Row(MBConv, expansion=6, kernel=5, stride=2, channels=40, blocks=2),
    Row(MBConv, expansion=6, kernel=3, stride=2, channels=80, blocks=3),
    Row(MBConv, expansion=6, kernel=5, stride=1, channels=112, blocks=3),
    Row(MBConv, expansion=6, kernel=5, stride=2, channels=192, blocks=4),
    Row(MBConv, expansion=6, kernel=3, stride=1, channels=320, blocks=1),
)


def scaled_channels(channels: int, width: float) -> int:
    """`channels` times `width`, rounded to the nearest multiple of 8 (a half up), but down by a tenth at most."""
    exact = channels * width
    rounded = max(8, int(exact + 4) // 8 * 8)
    return rounded if rounded >= 0.9 * exact else rounded + 8


def _scaled(channels: int, classes: int, *, width: float, depth: float, dropout: float) -> EfficientNet:
    """B0 with its widths and its numbers of blocks multiplied."""
    return EfficientNet(
        channels,
        classes,
        stem=scaled_channels(32, width),
        rows=[
            replace(row, channels=scaled_channels(row.channels, width), blocks=math.ceil(row.blocks * depth))
            for row in TABLE_1
        ],
        top=scaled_channels(1280, width),
        dropout=dropout,
    )


VARIANTS = {
    "efficientnet_b0": dict(width=1.0, depth=1.0, dropout=0.2),
    "efficientnet_b1": dict(width=1.0, depth=1.1, dropout=0.2),
    "efficientnet_b2": dict(width=1.1, depth=1.2, dropout=0.3),
    "efficientnet_b3": dict(width=1.2, depth=1.4, dropout=0.3),
    "efficientnet_b4": dict(width=1.4, depth=1.8, dropout=0.4),
    "efficientnet_b5": dict(width=1.6, depth=2.2, dropout=0.4),
    "efficientnet_b6": dict(width=1.8, depth=2.6, dropout=0.5),
    "efficientnet_b7": dict(width=2.0, depth=3.1, dropout=0.5),
}
register_family("efficientnet", _scaled, VARIANTS)
