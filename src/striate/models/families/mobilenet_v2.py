"""MobileNet v2: bottlenecks turned inside out, narrow where they are added and wide between.

Sandler, Howard, Zhu, Zhmoginov and Chen, "MobileNetV2: inverted residuals and linear bottlenecks", CVPR 2018,
arXiv:1801.04381.

Table 2 is the network, table 1 its block. No ReLU follows the last 1×1 convolution of a block, since it would lose too
much of a narrow map (section 3.2). A width multiplier thins every layer but the last convolution, which it can only
widen (section 4.1, "trade-off hyper parameters").

Where the paper is silent this is the authors' code (TF-Slim): numbers of filters are rounded to multiples of 8,
convolutions are padded by TensorFlow's rule, batch norm's epsilon is 0.001, dropout before the classifier 0.2, and
first weights are normal with a standard deviation of 0.09, cut at two of them. That code's momentum of batch norm,
0.003, is for millions of steps; here it is torch's 0.1.
"""

from __future__ import annotations

import functools
from collections import OrderedDict

from jaxtyping import Float
from torch import Tensor, nn

from striate.layers import Add, Conv2dSame, GlobalAveragePool, truncated_normal_
from striate.models._zoo import Network, register_family

_batch_norm = functools.partial(nn.BatchNorm2d, eps=1e-3)
# Table 2: for each stage, the (t, c, n, s) of its rows: expansion, filters, number of blocks, stride of the first.
_STAGES = (
    ((1, 16, 1, 1),),
    ((6, 24, 2, 2),),
    ((6, 32, 3, 2),),
    ((6, 64, 4, 2), (6, 96, 3, 1)),
    ((6, 160, 3, 2), (6, 320, 1, 1)),
)


def thinned(filters: int, width: float) -> int:
    """Round `filters` times `width` to a multiple of 8, at least 8 and not below nine tenths of the product."""
    wanted = filters * width
    rounded = max(8, int(wanted + 4) // 8 * 8)
    return rounded if rounded >= 0.9 * wanted else rounded + 8


class InvertedResidual(nn.Module):
    """1×1 convolution to `expansion` times the maps, 3×3 of each by itself, 1×1 back to few (table 1, figure 4d).

    The input is added where its shape is the output's. With an expansion of 1 the first convolution is left out.
    """

    def __init__(self, inputs: int, expansion: int, outputs: int, stride: int) -> None:
        super().__init__()
        wide = expansion * inputs
        self.expand: nn.Sequential | None = None
        if expansion > 1:
            conv = nn.Conv2d(inputs, wide, 1, bias=False)
            self.expand = nn.Sequential(OrderedDict(conv=conv, norm=_batch_norm(wide), relu=nn.ReLU6()))
        self.depthwise = Conv2dSame(wide, wide, 3, stride, groups=wide, bias=False)
        self.norm1 = _batch_norm(wide)
        self.relu = nn.ReLU6()
        self.project = nn.Conv2d(wide, outputs, 1, bias=False)
        self.norm2 = _batch_norm(outputs)
        self.add = Add() if stride == 1 and inputs == outputs else None

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k y x"]:
        branch = x if self.expand is None else self.expand(x)
        branch = self.relu(self.norm1(self.depthwise(branch)))
        branch = self.norm2(self.project(branch))
        return branch if self.add is None else self.add(x, branch)


class MobileNetV2(Network):
    """A 3×3 convolution, 17 blocks, a 1×1 convolution, the global mean and a classifier; `width` is the multiplier.

    A stage's map is taken where its last block ends, the last stage's after the 1×1 convolution.
    """

    head = "fc"

    def __init__(self, channels: int, classes: int, width: float) -> None:
        super().__init__()
        inputs = thinned(32, width)
        self.conv1 = Conv2dSame(channels, inputs, 3, 2, bias=False)
        self.norm1 = _batch_norm(inputs)
        self.relu1 = nn.ReLU6()
        self.feature_maps = {"stem": "relu1"}
        self.stages = nn.Sequential()
        for number, rows in enumerate(_STAGES, start=1):
            stage, end = nn.Sequential(), ""
            for expansion, filters, count, first in rows:
                for stride in (first, *[1] * (count - 1)):
                    block = InvertedResidual(inputs, expansion, thinned(filters, width), stride)
                    end = f"block{len(stage) + 1}"
                    stage.add_module(end, block)
                    end += ".norm2" if block.add is None else ".add"
                    inputs = thinned(filters, width)
            self.stages.add_module(f"stage{number}", stage)
            self.feature_maps[f"stage{number}"] = f"stages.stage{number}.{end}"
        outputs = thinned(1280, max(1.0, width))
        self.conv2 = nn.Conv2d(inputs, outputs, 1, bias=False)
        self.norm2 = _batch_norm(outputs)
        self.relu2 = nn.ReLU6()
        self.feature_maps[f"stage{len(self.stages)}"] = "relu2"
        self.pool = GlobalAveragePool()
        self.dropout = nn.Dropout(0.2)
        self.fc = nn.Linear(outputs, classes)
        truncated_normal_(self, 0.09)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k"]:
        x = self.relu1(self.norm1(self.conv1(x)))
        x = self.relu2(self.norm2(self.conv2(self.stages(x))))
        return self.fc(self.dropout(self.pool(x)))


VARIANTS = {
    "mobilenet_v2": dict(width=1.0),
    "mobilenet_v2_140": dict(width=1.4),
    "mobilenet_v2_075": dict(width=0.75),
    "mobilenet_v2_050": dict(width=0.5),
    "mobilenet_v2_035": dict(width=0.35),
}
register_family("mobilenet_v2", MobileNetV2, VARIANTS)
