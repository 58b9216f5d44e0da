"""Inception-v4: the Inception network streamlined, with one kind of module for each size of map.

Szegedy, Ioffe, Vanhoucke and Alemi, "Inception-v4, Inception-ResNet and the impact of residual connections on
learning", AAAI 2017, arXiv:1602.07261, figures 3 to 9; the paper's residual networks are in `inception_resnet.py`. All
sizes are the paper's, which are also those of the authors' code (`inception_v4` of TF-Slim, and timm's after it).

Means at a border are those of the pixels inside the map, as in TensorFlow. Epsilon (0.001) and the default of the first
weights (He's, arXiv:1502.01852) are those of TF-Slim. So is its batch normalization's momentum of 0.0003, for millions
of steps; here it is torch's 0.1.
"""

from __future__ import annotations

from collections import OrderedDict

from jaxtyping import Float
from torch import Tensor, nn

from striate.layers import Branches, GlobalAveragePool, he_, xavier_
from striate.models._zoo import Network, register_family

Pair = tuple[int, int]


class NormedConvolution(nn.Sequential):
    """A convolution, batch normalization and ReLU; `kernel` is one number for both axes, or (y, x).

    Padded by half its kernel, unless `valid` (the figures' letter V).
    """

    def __init__(self, inputs: int, outputs: int, kernel: int | Pair, stride: int = 1, *, valid: bool = False) -> None:
        height, width = (kernel, kernel) if isinstance(kernel, int) else kernel
        padding = (0, 0) if valid else (height // 2, width // 2)
        super().__init__(
            OrderedDict(
                conv=nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=False),
                norm=nn.BatchNorm2d(outputs, eps=1e-3),
                relu=nn.ReLU(),
            )
        )


def row(inputs: int, *steps: tuple[int, int | Pair]) -> nn.Sequential:
    """Convolutions after each other, padded, each given by its filters and its kernel."""
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    for number, (outputs, kernel) in enumerate(steps, start=1):
        layers[f"conv{number}"] = NormedConvolution(inputs, outputs, kernel)
        inputs = outputs
    return nn.Sequential(layers)


def halving(layers: nn.Sequential, inputs: int, outputs: int) -> nn.Sequential:
    """`layers`, then a 3×3/2 without padding."""
    return nn.Sequential(
        OrderedDict(layers.named_children(), last=NormedConvolution(inputs, outputs, 3, 2, valid=True))
    )


def _means(inputs: int, outputs: int) -> nn.Sequential:
    pool = nn.AvgPool2d(3, 1, 1, count_include_pad=False)
    return nn.Sequential(OrderedDict(pool=pool, project=NormedConvolution(inputs, outputs, 1)))


class Stem(nn.Sequential):
    """Figure 3: from 299×299 pixels to 35×35 places and 384 channels, halved three times."""

    def __init__(self, channels: int) -> None:
        super().__init__(
            OrderedDict(
                conv1=NormedConvolution(channels, 32, 3, 2, valid=True),
                conv2=NormedConvolution(32, 32, 3, valid=True),
                conv3=NormedConvolution(32, 64, 3),
                halving1=Branches(pool=nn.MaxPool2d(3, 2), conv=NormedConvolution(64, 96, 3, 2, valid=True)),
                mixed=Branches(
                    branch3x3=nn.Sequential(
                        OrderedDict(conv1=NormedConvolution(160, 64, 1), conv2=NormedConvolution(64, 96, 3, valid=True))
                    ),
                    branch7x7=nn.Sequential(
                        OrderedDict(
                            conv1=NormedConvolution(160, 64, 1),
                            conv2=NormedConvolution(64, 64, (1, 7)),
                            conv3=NormedConvolution(64, 64, (7, 1)),
                            conv4=NormedConvolution(64, 96, 3, valid=True),
                        )
                    ),
                ),
                halving2=Branches(conv=NormedConvolution(192, 192, 3, 2, valid=True), pool=nn.MaxPool2d(3, 2)),
            )
        )


class InceptionA(Branches):
    """For 35×35 (figure 4): 384 channels in and out."""

    def __init__(self) -> None:
        super().__init__(
            branch1x1=NormedConvolution(384, 96, 1),
            branch3x3=row(384, (64, 1), (96, 3)),
            double3x3=row(384, (64, 1), (96, 3), (96, 3)),
            pool=_means(384, 96),
        )


class ReductionA(Branches):
    """From 35×35 to 17×17 (figure 7): a pooling, `n` filters of 3×3/2, and `k`, `l`, `m` of 1×1, 3×3, 3×3/2."""

    def __init__(self, inputs: int, k: int, l: int, m: int, n: int) -> None:  # noqa: E741 (the paper's letters)
        super().__init__(
            branch3x3=NormedConvolution(inputs, n, 3, 2, valid=True),
            double3x3=halving(row(inputs, (k, 1), (l, 3)), l, m),
            pool=nn.MaxPool2d(3, 2),
        )


class InceptionB(Branches):
    """For 17×17 (figure 5): 1024 channels in and out, 7×7 in strips."""

    def __init__(self) -> None:
        super().__init__(
            branch1x1=NormedConvolution(1024, 384, 1),
            branch7x7=row(1024, (192, 1), (224, (1, 7)), (256, (7, 1))),
            double7x7=row(1024, (192, 1), (192, (7, 1)), (224, (1, 7)), (224, (7, 1)), (256, (1, 7))),
            pool=_means(1024, 128),
        )


class ReductionB(Branches):
    """From 17×17 to 8×8 (figure 8): 1024 channels in, 1536 out."""

    def __init__(self) -> None:
        super().__init__(
            branch3x3=halving(row(1024, (192, 1)), 192, 192),
            branch7x7=halving(row(1024, (256, 1), (256, (1, 7)), (320, (7, 1))), 320, 320),
            pool=nn.MaxPool2d(3, 2),
        )


class Fan(Branches):
    """1×3 and 3×1 of one map, side by side, with 256 filters each."""

    def __init__(self, inputs: int) -> None:
        super().__init__(wide=NormedConvolution(inputs, 256, (1, 3)), tall=NormedConvolution(inputs, 256, (3, 1)))


class InceptionC(Branches):
    """For 8×8 (figure 6): 1536 channels in and out, two of the branches ending in fans."""

    def __init__(self) -> None:
        super().__init__(
            branch1x1=NormedConvolution(1536, 256, 1),
            branch3x3=nn.Sequential(OrderedDict(reduce=NormedConvolution(1536, 384, 1), fan=Fan(384))),
            double3x3=nn.Sequential(
                OrderedDict(strips=row(1536, (384, 1), (448, (3, 1)), (512, (1, 3))), fan=Fan(512))
            ),
            pool=_means(1536, 256),
        )


class InceptionV4(Network):
    """Figure 9: the stem, four modules A, seven B, three C, with the reductions between them."""

    head = "fc"

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.stem = Stem(channels)
        self.stage2 = nn.Sequential(*(InceptionA() for _ in range(4)))
        self.reduction_a = ReductionA(384, k=192, l=224, m=256, n=384)
        self.stage3 = nn.Sequential(*(InceptionB() for _ in range(7)))
        self.reduction_b = ReductionB()
        self.stage4 = nn.Sequential(*(InceptionC() for _ in range(3)))
        self.pool = GlobalAveragePool()
        self.dropout = nn.Dropout(0.2)
        self.fc = nn.Linear(1536, classes)
        self.feature_maps = {
            "stem": "stem.conv3.relu",
            "stage1": "stem.mixed.concat",
            "stage2": "stage2.3.concat",
            "stage3": "stage3.6.concat",
            "stage4": "stage4.2.concat",
        }
        he_(self)
        xavier_(self.fc)  # no ReLU follows it

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k"]:
        x = self.stage2(self.stem(x))
        x = self.stage3(self.reduction_a(x))
        x = self.stage4(self.reduction_b(x))
        return self.fc(self.dropout(self.pool(x)))


register_family("inception_v4", InceptionV4, {"inception_v4": {}})
