"""BN-Inception, later called Inception-v2: GoogLeNet's descendant with which batch normalization was published.

Ioffe and Szegedy, "Batch normalization: accelerating deep network training by reducing internal covariate shift", ICML
2015, arXiv:1502.03167; the network is that of the appendix, figure 5.

Two 3×3 convolutions replace each 5×5, modules 3c and 4e halve the map themselves (convolutions and pooling with
stride side by side, nothing after the pooling), and the first convolution is separable, with eight filters for
each channel. Batch normalization follows every convolution and takes the place of biases, local response normalization
and dropout. The name: "Rethinking the Inception architecture" (arXiv:1512.00567) calls another network Inception-v2,
the step before its Inception-v3; "Inception-v4" (arXiv:1602.07261, section 1) and the authors' code mean this one.

Where the figure contradicts itself this is the authors' code (`inception_v2` of TF-Slim): in rows 4c and 4d the
figure prints 128 filters after the pooling, with which the modules would give 608 channels, and 576 as what they give;
96 give 576. Padding is TensorFlow's "same", in which the network was trained: a map of n places is halved to ⌈n / 2⌉.

The paper takes statistics over the whole training set for use (algorithm 2); here they are moving averages with torch's
momentum of 0.1 (its authors' code: 0.0003, for millions of steps). Epsilon is the code's, 0.001. First weights are He's
(arXiv:1502.01852), as the code's default; the paper says that they need little care.
"""

from __future__ import annotations

from collections import OrderedDict

from jaxtyping import Float
from torch import Tensor, nn

from striate.layers import AvgPool2dSame, Branches, Conv2dSame, GlobalAveragePool, MaxPool2dSame, he_, xavier_
from striate.models._zoo import Network, register_family

# Figure 5: filters of the 1×1; reduction, 3×3; reduction, double 3×3; projection; the pooling before it.
MODULES = {
    "3a": (64, 64, 64, 64, 96, 32, AvgPool2dSame),
    "3b": (64, 64, 96, 64, 96, 64, AvgPool2dSame),
    "4a": (224, 64, 96, 96, 128, 128, AvgPool2dSame),
    "4b": (192, 96, 128, 96, 128, 128, AvgPool2dSame),
    "4c": (160, 128, 160, 128, 160, 96, AvgPool2dSame),
    "4d": (96, 128, 192, 160, 192, 96, AvgPool2dSame),
    "5a": (352, 192, 320, 160, 224, 128, AvgPool2dSame),
    "5b": (352, 192, 320, 192, 224, 128, MaxPool2dSame),
}
# The modules that halve the map: reduction, 3×3; reduction, double 3×3. The pooling passes all its channels on.
HALVING = {"3c": (128, 160, 64, 96), "4e": (128, 192, 192, 256)}

_DEPTH_MULTIPLIER = 8


class NormedConvolution(nn.Sequential):
    """A convolution with "same" padding, batch normalization and ReLU."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1) -> None:
        super().__init__(
            OrderedDict(
                conv=Conv2dSame(inputs, outputs, kernel, stride, bias=False),
                norm=nn.BatchNorm2d(outputs, eps=1e-3),
                relu=nn.ReLU(),
            )
        )


class SeparableStem(nn.Sequential):
    """The first convolution: eight 7×7/2 filters for each channel by itself, then 1×1 filters over all of them."""

    def __init__(self, channels: int, outputs: int) -> None:
        between = _DEPTH_MULTIPLIER * channels
        super().__init__(
            OrderedDict(
                depthwise=Conv2dSame(channels, between, 7, 2, groups=channels, bias=False),
                pointwise=nn.Conv2d(between, outputs, 1, bias=False),
                norm=nn.BatchNorm2d(outputs, eps=1e-3),
                relu=nn.ReLU(),
            )
        )


class Inception(Branches):
    """1×1, 3×3, two 3×3 in a row, and a pooling with a projection, side by side."""

    def __init__(
        self,
        inputs: int,
        ones: int,
        reduced_threes: int,
        threes: int,
        reduced_doubles: int,
        doubles: int,
        projected: int,
        pool: type[AvgPool2dSame | MaxPool2dSame],
    ) -> None:
        super().__init__(
            branch1x1=NormedConvolution(inputs, ones, 1),
            branch3x3=_single(inputs, reduced_threes, threes, 1),
            double3x3=_double(inputs, reduced_doubles, doubles, 1),
            pool=nn.Sequential(OrderedDict(pool=pool(3, 1), project=NormedConvolution(inputs, projected, 1))),
        )


class HalvingInception(Branches):
    """3×3/2, two 3×3 of which the second has the stride, and a max pooling, side by side."""

    def __init__(self, inputs: int, reduced_threes: int, threes: int, reduced_doubles: int, doubles: int) -> None:
        super().__init__(
            branch3x3=_single(inputs, reduced_threes, threes, 2),
            double3x3=_double(inputs, reduced_doubles, doubles, 2),
            pool=MaxPool2dSame(3, 2),
        )


class InceptionV2(Network):
    """Figure 5, from the first convolution to the logits."""

    head = "fc"

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        layers: OrderedDict[str, nn.Module] = OrderedDict(
            conv1=SeparableStem(channels, 64),
            pool1=MaxPool2dSame(3, 2),
            conv2=NormedConvolution(64, 64, 1),
            conv3=NormedConvolution(64, 192, 3),
            pool2=MaxPool2dSame(3, 2),
        )
        inputs = 192
        for name in sorted(MODULES.keys() | HALVING.keys()):
            if name in HALVING:
                reduced_threes, threes, reduced_doubles, doubles = HALVING[name]
                module: Branches = HalvingInception(inputs, reduced_threes, threes, reduced_doubles, doubles)
                inputs = threes + doubles + inputs
            else:
                ones, reduced_threes, threes, reduced_doubles, doubles, projected, pool = MODULES[name]
                module = Inception(inputs, ones, reduced_threes, threes, reduced_doubles, doubles, projected, pool)
                inputs = ones + threes + doubles + projected
            layers[f"inception{name}"] = module
        self.features = nn.Sequential(layers)
        self.pool = GlobalAveragePool()
        self.fc = nn.Linear(inputs, classes)
        self.feature_maps = {
            "stem": "features.conv1.relu",
            "stage1": "features.conv3.relu",
            "stage2": "features.inception3b.concat",
            "stage3": "features.inception4d.concat",
            "stage4": "features.inception5b.concat",
        }
        he_(self)
        xavier_(self.fc)  # no ReLU follows it

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k"]:
        return self.fc(self.pool(self.features(x)))


def _single(inputs: int, reduced: int, outputs: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        OrderedDict(reduce=NormedConvolution(inputs, reduced, 1), conv=NormedConvolution(reduced, outputs, 3, stride))
    )


def _double(inputs: int, reduced: int, outputs: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        OrderedDict(
            reduce=NormedConvolution(inputs, reduced, 1),
            conv1=NormedConvolution(reduced, outputs, 3),
            conv2=NormedConvolution(outputs, outputs, 3, stride),
        )
    )


register_family("inception_v2", InceptionV2, {"inception_v2": {}})
