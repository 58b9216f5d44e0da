"""Inception-ResNet: Inception modules that are added to their input.

Szegedy, Ioffe, Vanhoucke and Alemi, "Inception-v4, Inception-ResNet and the impact of residual connections on
learning", AAAI 2017, arXiv:1602.07261, figures 10 to 19; the paper's network without shortcuts is in `inception_v4.py`.

Each block's branches meet in a 1×1 convolution without ReLU that brings them to the channels of the block's input, and
without batch normalization, which the authors left out there to save memory (section 3.2). The result is multiplied by
a small factor before the sum, without which wide networks died (section 3.3 names 0.1 to 0.3); the factors of each kind
of block are those of the authors' code, TF-Slim. So are epsilon (0.001) and the default of the first weights (He's,
arXiv:1502.01852; Xavier's here where no ReLU follows); its batch normalization's momentum of 0.0003 is for millions of
steps, here it is torch's 0.1.

Three networks. `inception_resnet_v1` and `inception_resnet_v2_2016` have the paper's sizes: figure 15, with 5, 10 and 5
blocks. (Figures 17 and 19 print 1154 and 2048 for the blocks' channels; the reductions before them give 1152 and 2144,
and only with these can the sums be made.) `inception_resnet_v2` is the network whose weights the authors published, and
timm's and Keras's after it: the blocks are those of figures 16 to 19, but 10, 20 and 10 of them, on 320, 1088 and 2080
channels; the stem is Inception-v3's and an Inception module; the last block has neither factor nor ReLU, and 1536
filters of 1×1 follow it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor, nn

from striate.layers import Add, Branches, GlobalAveragePool, he_, xavier_
from striate.models._zoo import Network, register_family
from striate.models.families.inception_v4 import NormedConvolution, ReductionA, Stem, halving, row

Pair = tuple[int, int]
Steps = tuple[tuple[int, int | Pair], ...]


@dataclass(frozen=True)
class Sizes:
    """The filters and kernels of a network's blocks: for each kind, its branches; for the reductions, their filters.

    `reduction_a` are k, l, m and n of the paper's table 1. `reduction_b` are the filters of its three branches of
    convolutions, each beginning with 1×1 and ending with 3×3/2.
    """

    a: tuple[Steps, ...]
    b: tuple[Steps, ...]
    c: tuple[Steps, ...]
    reduction_a: tuple[int, int, int, int]
    reduction_b: tuple[tuple[int, ...], ...]


# Figures 10, 11, 13 and 12.
V1 = Sizes(
    a=(((32, 1),), ((32, 1), (32, 3)), ((32, 1), (32, 3), (32, 3))),
    b=(((128, 1),), ((128, 1), (128, (1, 7)), (128, (7, 1)))),
    c=(((192, 1),), ((192, 1), (192, (1, 3)), (192, (3, 1)))),
    reduction_a=(192, 192, 256, 384),
    reduction_b=((256, 384), (256, 256), (256, 256, 256)),
)
# Figures 16, 17, 19 and 18.
V2 = Sizes(
    a=(((32, 1),), ((32, 1), (32, 3)), ((32, 1), (48, 3), (64, 3))),
    b=(((192, 1),), ((128, 1), (160, (1, 7)), (192, (7, 1)))),
    c=(((192, 1),), ((192, 1), (224, (1, 3)), (256, (3, 1)))),
    reduction_a=(256, 256, 384, 384),
    reduction_b=((256, 384), (256, 288), (256, 288, 320)),
)
# By what the branches of blocks A, B and C are multiplied before the sum.
FACTORS = (0.17, 0.10, 0.20)


class Scale(nn.Module):
    """Its input times a constant."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        return x * self.factor

    def extra_repr(self) -> str:
        return f"{self.factor}"


class Residual(nn.Module):
    """x + factor · W·branches(x), where W is a 1×1 convolution (figures 10, 11, 13, 16, 17 and 19 without the ReLU)."""

    def __init__(self, channels: int, branches: tuple[Steps, ...], factor: float) -> None:
        super().__init__()
        self.branches = Branches(
            **{f"branch{number}": row(channels, *steps) for number, steps in enumerate(branches, start=1)}
        )
        self.linear = nn.Conv2d(sum(steps[-1][0] for steps in branches), channels, 1)
        self.scale = Scale(factor)
        self.add = Add()

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        return self.add(x, self.scale(self.linear(self.branches(x))))


def _blocks(count: int, channels: int, branches: tuple[Steps, ...], factor: float) -> nn.Sequential:
    return nn.Sequential(
        *(
            nn.Sequential(OrderedDict(residual=Residual(channels, branches, factor), relu=nn.ReLU()))
            for _ in range(count)
        )
    )


class ReductionB(Branches):
    """From 17×17 to 8×8 (figures 12 and 18)."""

    def __init__(self, inputs: int, sizes: tuple[tuple[int, ...], ...]) -> None:
        super().__init__(
            **{
                f"branch{number}": halving(
                    row(inputs, (widths[0], 1), *((width, 3) for width in widths[1:-1])), widths[-2], widths[-1]
                )
                for number, widths in enumerate(sizes, 1)
            },
            pool=nn.MaxPool2d(3, 2),
        )


@dataclass(frozen=True)
class Front:
    """The layers before the first block, their output channels, and the path of the first stage's map."""

    layers: nn.Sequential
    channels: int
    stage1: str


class InceptionResNet(Network):
    """Figure 15: `counts` blocks A, B and C after the first layers, with the reductions between them.

    `make_front` builds the first layers; `closing` is the channels of a last 1×1 convolution, if there is one.
    """

    head = "fc"

    def __init__(
        self,
        channels: int,
        classes: int,
        *,
        make_front: Callable[[int], Front],
        sizes: Sizes,
        counts: tuple[int, int, int] = (5, 10, 5),
        closing: int | None = None,
    ) -> None:
        super().__init__()
        front = make_front(channels)
        first = front.channels
        second = first + sizes.reduction_a[2] + sizes.reduction_a[3]
        third = second + sum(widths[-1] for widths in sizes.reduction_b)
        self.stem = front.layers
        self.stage2 = _blocks(counts[0], first, sizes.a, FACTORS[0])
        self.reduction_a = ReductionA(first, *sizes.reduction_a)
        self.stage3 = _blocks(counts[1], second, sizes.b, FACTORS[1])
        self.reduction_b = ReductionB(second, sizes.reduction_b)
        self.stage4 = _blocks(counts[2], third, sizes.c, FACTORS[2])
        if closing is not None:
            self.stage4[-1] = nn.Sequential(
                OrderedDict(residual=Residual(third, sizes.c, 1.0), conv=NormedConvolution(third, closing, 1))
            )
        features = third if closing is None else closing
        self.pool = GlobalAveragePool()
        self.dropout = nn.Dropout(0.2)
        self.fc = nn.Linear(features, classes)
        last = "relu" if closing is None else "conv.relu"
        self.feature_maps = {
            "stem": "stem.conv3.relu",
            "stage1": front.stage1,
            "stage2": f"stage2.{counts[0] - 1}.relu",
            "stage3": f"stage3.{counts[1] - 1}.relu",
            "stage4": f"stage4.{counts[2] - 1}.{last}",
        }
        he_(self)
        for layer in (self.fc, *(module.linear for module in self.modules() if isinstance(module, Residual))):
            xavier_(layer)  # no ReLU follows it

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k"]:
        x = self.stage2(self.stem(x))
        x = self.stage3(self.reduction_a(x))
        x = self.stage4(self.reduction_b(x))
        return self.fc(self.dropout(self.pool(x)))


def _first_layers(channels: int) -> OrderedDict[str, nn.Module]:
    """Return the first layers of figure 14 and of the published one: 71×71 places of 299×299 pixels, 192 channels."""
    return OrderedDict(
        conv1=NormedConvolution(channels, 32, 3, 2, valid=True),
        conv2=NormedConvolution(32, 32, 3, valid=True),
        conv3=NormedConvolution(32, 64, 3),
        pool1=nn.MaxPool2d(3, 2),
        conv4=NormedConvolution(64, 80, 1),
        conv5=NormedConvolution(80, 192, 3, valid=True),
    )


def front_v1(channels: int) -> Front:
    """Figure 14: 35×35 places and 256 channels."""
    layers = _first_layers(channels) | {"conv6": NormedConvolution(192, 256, 3, 2, valid=True)}
    return Front(nn.Sequential(OrderedDict(layers)), 256, "stem.conv5.relu")


def front_v2(channels: int) -> Front:
    """Figure 3, the stem of Inception-v4: 35×35 places and 384 channels."""
    return Front(Stem(channels), 384, "stem.mixed.concat")


def front_published(channels: int) -> Front:
    """Return the stem of Inception-v3 and an Inception module: 35×35 places and 320 channels."""
    means = nn.AvgPool2d(3, 1, 1, count_include_pad=False)
    mixed = Branches(
        branch1x1=NormedConvolution(192, 96, 1),
        branch5x5=row(192, (48, 1), (64, 5)),
        double3x3=row(192, (64, 1), (96, 3), (96, 3)),
        pool=nn.Sequential(OrderedDict(pool=means, project=NormedConvolution(192, 64, 1))),
    )
    layers = _first_layers(channels) | {"pool2": nn.MaxPool2d(3, 2), "mixed": mixed}
    return Front(nn.Sequential(OrderedDict(layers)), 320, "stem.conv5.relu")


VARIANTS = {
    "inception_resnet_v1": dict(make_front=front_v1, sizes=V1),
    "inception_resnet_v2_2016": dict(make_front=front_v2, sizes=V2),
    "inception_resnet_v2": dict(make_front=front_published, sizes=V2, counts=(10, 20, 10), closing=1536),
}
register_family("inception_resnet", InceptionResNet, VARIANTS)
