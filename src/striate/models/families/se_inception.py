"""SE-Inception: BN-Inception, each of whose modules ends in a squeeze-and-excitation.

Hu, Shen, Albanie, Sun and Wu, "Squeeze-and-excitation networks", CVPR 2018, arXiv:1709.01507 (version 4), figure 2 and
table 2, row "BN-Inception"; the network inside is that of Ioffe and Szegedy, "Batch normalization", ICML 2015,
arXiv:1502.03167, figure 5.

Widths are those of the authors' code (github.com/hujie-frank/SENet, SE-BN-Inception). Figure 5 prints the same, but
their sum after 4c and 4d is 608, not its 576, and 1056 after 4e, not its 1024. The pooling of 3c and 4e is padded by
TensorFlow's rule: on maps of even size that is Caffe's, which on odd ones would not fit the convolutions parallel to
it. First weights are He's, as in section 5.1; the classifier's are Xavier's, for no ReLU follows it.
"""

from __future__ import annotations

from collections import OrderedDict

from jaxtyping import Float
from torch import Tensor, nn

from striate.layers import Concat, GlobalAveragePool, MaxPool2dSame, SqueezeExcitation, he_, xavier_
from striate.models._zoo import Network, register_family

_REDUCTION = 16


def conv_norm_relu(*steps: tuple[int, int, int, int]) -> nn.Sequential:
    """Convolutions, each (inputs, outputs, kernel, stride) and with norm and ReLU, one after the other."""
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    for number, (inputs, outputs, kernel, stride) in enumerate(steps, start=1):
        layers[f"conv{number}"] = nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False)
        layers[f"norm{number}"] = nn.BatchNorm2d(outputs)
        layers[f"relu{number}"] = nn.ReLU()
    return nn.Sequential(layers)


class Inception(nn.Module):
    """1×1, 3×3, twice 3×3 and pooled, side by side, then the gate.

    `reduced` are the widths of the 1×1 convolutions before the one and the two 3×3 convolutions. `pool` keeps the size.
    """

    def __init__(
        self, inputs: int, direct: int, reduced: tuple[int, int], three: int, double: int, pool: nn.Module, pooled: int
    ) -> None:
        super().__init__()
        self.direct = conv_norm_relu((inputs, direct, 1, 1))
        self.three = conv_norm_relu((inputs, reduced[0], 1, 1), (reduced[0], three, 3, 1))
        self.twice = conv_norm_relu((inputs, reduced[1], 1, 1), (reduced[1], double, 3, 1), (double, double, 3, 1))
        self.pool = pool
        self.pooled = conv_norm_relu((inputs, pooled, 1, 1))
        self.concat = Concat()
        self.outputs = direct + three + double + pooled
        self.excitation = SqueezeExcitation(self.outputs, self.outputs // _REDUCTION)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k h w"]:
        pooled = self.pooled(self.pool(x))
        return self.excitation(self.concat(self.direct(x), self.three(x), self.twice(x), pooled))


class Reduction(nn.Module):
    """An Inception module that halves the size: 3×3, twice 3×3 and the largest of 3×3 pixels, each with a stride."""

    def __init__(self, inputs: int, reduced: tuple[int, int], three: int, double: int) -> None:
        super().__init__()
        self.three = conv_norm_relu((inputs, reduced[0], 1, 1), (reduced[0], three, 3, 2))
        self.twice = conv_norm_relu((inputs, reduced[1], 1, 1), (reduced[1], double, 3, 1), (double, double, 3, 2))
        self.pool = MaxPool2dSame(3, 2)
        self.concat = Concat()
        self.outputs = three + double + inputs
        self.excitation = SqueezeExcitation(self.outputs, self.outputs // _REDUCTION)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k y x"]:
        return self.excitation(self.concat(self.three(x), self.twice(x), self.pool(x)))


class SEInception(Network):
    """Three convolutions, ten modules, the global mean and a classifier.

    Raises:
        EmptyMapError: the images have a side of less than 9 pixels.
    """

    head = "fc"

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.stem = conv_norm_relu((channels, 64, 7, 2))
        self.pool1 = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.stage1 = conv_norm_relu((64, 64, 1, 1), (64, 192, 3, 1))
        self.pool2 = nn.MaxPool2d(3, 2, ceil_mode=True)
        modules: OrderedDict[str, Inception | Reduction] = OrderedDict()
        modules["inception3a"] = Inception(192, 64, (64, 64), 64, 96, _mean(), 32)
        modules["inception3b"] = Inception(256, 64, (64, 64), 96, 96, _mean(), 64)
        modules["reduction3c"] = Reduction(320, (128, 64), 160, 96)
        modules["inception4a"] = Inception(576, 224, (64, 96), 96, 128, _mean(), 128)
        modules["inception4b"] = Inception(576, 192, (96, 96), 128, 128, _mean(), 128)
        modules["inception4c"] = Inception(576, 160, (128, 128), 160, 160, _mean(), 128)
        modules["inception4d"] = Inception(608, 96, (128, 160), 192, 192, _mean(), 128)
        modules["reduction4e"] = Reduction(608, (128, 192), 192, 256)
        modules["inception5a"] = Inception(1056, 352, (192, 160), 320, 224, _mean(), 128)
        modules["inception5b"] = Inception(1024, 352, (192, 192), 320, 224, nn.MaxPool2d(3, 1, padding=1), 128)
        self.inception = nn.Sequential(OrderedDict[str, nn.Module](modules))
        self.average = GlobalAveragePool()
        self.fc = nn.Linear(1024, classes)
        he_(self)
        xavier_(self.fc)

        self.feature_maps = {
            "stem": "stem.relu1",
            "stage1": "stage1.relu2",
            "stage2": "inception.inception3b.excitation",
            "stage3": "inception.inception4d.excitation",
            "stage4": "inception.inception5b.excitation",
        }

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k"]:
        x = self.pool2(self.stage1(self.pool1(self.stem(x))))
        return self.fc(self.average(self.inception(x)))


def _mean() -> nn.Module:
    """Return the mean of 3×3 pixels, those outside the map counted as zeros, as in Caffe."""
    return nn.AvgPool2d(3, 1, padding=1)


register_family("se_inception", SEInception, {"se_inception": {}})
