"""MobileNet v2: bottlenecks turned inside out, narrow where they are added and wide between.

Sandler, Howard, Zhu, Zhmoginov and Chen, "MobileNetV2: inverted residuals and linear bottlenecks", CVPR 2018,
arXiv:1801.04381.

Table 2 is the network, table 1 its block. Behind the last 1×1 convolution of a block stands no ReLU, which would lose
too much of a narrow map (section 3.2). A width multiplier thins every layer but the last convolution, which it can only
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
from striate.models._reach import Reach
from striate.models._zoo import ModelCard, Network, Published, register

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
    """`filters` times `width`, rounded to a multiple of 8, at least 8 and not below nine tenths of the product."""
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

    A stage's map is taken where its last block ends, the last stage's behind the 1×1 convolution.
    """

    head = "fc"

    def __init__(self, channels: int, classes: int, width: float) -> None:
        super().__init__()
        inputs = thinned(32, width)
        self.conv1 = Conv2dSame(channels, inputs, 3, 2, bias=False)
        self.norm1 = _batch_norm(inputs)
        self.relu1 = nn.ReLU6()
        seen = Reach().window(3, 2)
        places = [seen.place("stem", "relu1", inputs)]
        self.stages = nn.Sequential()
        for number, rows in enumerate(_STAGES, start=1):
            stage, end = nn.Sequential(), ""
            for expansion, filters, count, first in rows:
                for stride in (first, *[1] * (count - 1)):
                    block = InvertedResidual(inputs, expansion, thinned(filters, width), stride)
                    end = f"block{len(stage) + 1}"
                    stage.add_module(end, block)
                    end += ".norm2" if block.add is None else ".add"
                    seen, inputs = seen.window(3, stride), thinned(filters, width)
            self.stages.add_module(f"stage{number}", stage)
            places.append(seen.place(f"stage{number}", f"stages.stage{number}.{end}", inputs))
        outputs = thinned(1280, max(1.0, width))
        self.conv2 = nn.Conv2d(inputs, outputs, 1, bias=False)
        self.norm2 = _batch_norm(outputs)
        self.relu2 = nn.ReLU6()
        self.feature_maps = (*places[:-1], seen.place(places[-1].name, "relu2", outputs))
        self.pool = GlobalAveragePool()
        self.dropout = nn.Dropout(0.2)
        self.fc = nn.Linear(outputs, classes)
        truncated_normal_(self, 0.09)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k"]:
        x = self.relu1(self.norm1(self.conv1(x)))
        x = self.relu2(self.norm2(self.conv2(self.stages(x))))
        return self.fc(self.dropout(self.pool(x)))


_card = functools.partial(
    ModelCard,
    family="mobilenet_v2",
    title="MobileNetV2: inverted residuals and linear bottlenecks",
    authors="Sandler, Howard, Zhu, Zhmoginov, Chen",
    year=2018,
    paper="https://arxiv.org/abs/1801.04381",
    input=(3, 224, 224),
    classes=1000,
    notes="Padded by TensorFlow's rule, as the weights of the authors' code want it.",
)
_paper = functools.partial(Published, source="the paper, table 4", protocol="single net, 224×224, 2018")
_code = functools.partial(
    Published,
    source="https://github.com/tensorflow/models/tree/master/research/slim/nets/mobilenet",
    protocol="single net, one 224×224 crop, 2018",
    differs="parameters are counted without batch norm's, and millions are cut",
)


@register(
    _card(
        name="mobilenet_v2",
        parameters=3_504_872,
        macs=300_774_272,
        depth=53,
        published=(
            _paper(parameters="3.4 M", macs="300 M", top1=72.0, differs="3.47 M without batch norm, cut to two digits"),
            _code(parameters="3.47 M", macs="300 M", top1=71.8, top5=91.0),
        ),
    )
)
def mobilenet_v2(*, channels: int, size: tuple[int, int], classes: int) -> Network:
    """MobileNet v2 of full width."""
    return MobileNetV2(channels, classes, width=1.0)


@register(
    _card(
        name="mobilenet_v2_140",
        parameters=6_108_776,
        macs=582_195_824,
        depth=53,
        published=(
            _paper(parameters="6.9 M", macs="585 M", top1=74.7, differs="the authors' later table has 6.06 M"),
            _code(parameters="6.06 M", macs="582 M", top1=75.0, top5=92.5),
        ),
    )
)
def mobilenet_v2_140(*, channels: int, size: tuple[int, int], classes: int) -> Network:
    """MobileNet v2 of width 1.4."""
    return MobileNetV2(channels, classes, width=1.4)


@register(
    _card(
        name="mobilenet_v2_075",
        parameters=2_636_424,
        macs=209_069_792,
        depth=53,
        published=(_code(parameters="2.61 M", macs="209 M", top1=69.8, top5=89.6),),
    )
)
def mobilenet_v2_075(*, channels: int, size: tuple[int, int], classes: int) -> Network:
    """MobileNet v2 of width 0.75."""
    return MobileNetV2(channels, classes, width=0.75)


@register(
    _card(
        name="mobilenet_v2_050",
        parameters=1_968_680,
        macs=97_131_840,
        depth=53,
        published=(_code(parameters="1.95 M", macs="97 M", top1=65.4, top5=86.4),),
    )
)
def mobilenet_v2_050(*, channels: int, size: tuple[int, int], classes: int) -> Network:
    """MobileNet v2 of width 0.5."""
    return MobileNetV2(channels, classes, width=0.5)


@register(
    _card(
        name="mobilenet_v2_035",
        parameters=1_677_128,
        macs=59_285_808,
        depth=53,
        published=(_code(parameters="1.66 M", macs="59 M", top1=60.3, top5=82.9),),
    )
)
def mobilenet_v2_035(*, channels: int, size: tuple[int, int], classes: int) -> Network:
    """MobileNet v2 of width 0.35."""
    return MobileNetV2(channels, classes, width=0.35)
