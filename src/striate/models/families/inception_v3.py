"""Inception-v3: convolutions factorised into smaller and asymmetric ones.

Szegedy, Vanhoucke, Ioffe, Shlens and Wojna, "Rethinking the Inception architecture for computer vision", CVPR 2016,
arXiv:1512.00567. Module A has 5×5 windows (figure 5), B the 7×7 ones in two strips of 1×7 and 7×1 (figure 6), C the
fans of 1×3 and 3×1 (figure 7); between them the map is halved by convolutions and a pooling side by side (figure 10).

Table 1 gives the paper's Inception-v2, whose stem is of 3×3 convolutions alone; what its section 10 calls Inception-v3
was published as code, with the stem and the filters that are used here (`inception_v3` of TF-Slim, and torchvision's
after it). As in these, module A keeps a true 5×5 in one of its branches. Means at a border count the padding's zeros,
as torchvision's do and TensorFlow's do not.

The auxiliary classifier (section 4), with batch normalization, sits after the last module of 17×17 maps. In training
its loss is added at a weight, in use it is not computed. Its 5×5/3 pooling and 5×5 convolution leave one place of 17,
and nothing of a smaller map: then it is not built, and the network is trained by its main loss alone.

Epsilon (0.001), dropout (0.2) and the default of the first weights (He's, arXiv:1502.01852) are those of TF-Slim. So is
its batch normalization's momentum of 0.0003, for millions of steps; here it is torch's 0.1.
"""

from __future__ import annotations

import contextlib
from collections import OrderedDict
from collections.abc import Mapping

from jaxtyping import Float
from torch import Tensor, nn

from striate.layers import Branches, GlobalAveragePool, he_, xavier_
from striate.models._zoo import Network, register_family
from striate.tracing import EmptyMapError, output_shape

Pair = tuple[int, int]


class NormedConvolution(nn.Sequential):
    """A convolution, batch normalization and ReLU."""

    def __init__(self, inputs: int, outputs: int, kernel: int | Pair, stride: int = 1, padding: int | Pair = 0) -> None:
        super().__init__(
            OrderedDict(
                conv=nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=False),
                norm=nn.BatchNorm2d(outputs, eps=1e-3),
                relu=nn.ReLU(),
            )
        )


def _wide(inputs: int, outputs: int, length: int) -> NormedConvolution:
    """Return a convolution over `length` columns of one row."""
    return NormedConvolution(inputs, outputs, (1, length), padding=(0, length // 2))


def _tall(inputs: int, outputs: int, length: int) -> NormedConvolution:
    """Return a convolution over `length` rows of one column."""
    return NormedConvolution(inputs, outputs, (length, 1), padding=(length // 2, 0))


def _pooled(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(OrderedDict(pool=nn.AvgPool2d(3, 1, 1), project=NormedConvolution(inputs, outputs, 1)))


class InceptionA(Branches):
    """1×1, 5×5, two 3×3 in a row, and means (figure 5): 224 channels and those of `projected`."""

    def __init__(self, inputs: int, projected: int) -> None:
        super().__init__(
            branch1x1=NormedConvolution(inputs, 64, 1),
            branch5x5=nn.Sequential(
                OrderedDict(reduce=NormedConvolution(inputs, 48, 1), conv=NormedConvolution(48, 64, 5, padding=2))
            ),
            double3x3=nn.Sequential(
                OrderedDict(
                    reduce=NormedConvolution(inputs, 64, 1),
                    conv1=NormedConvolution(64, 96, 3, padding=1),
                    conv2=NormedConvolution(96, 96, 3, padding=1),
                )
            ),
            pool=_pooled(inputs, projected),
        )


class HalvingA(Branches):
    """From 35×35 to 17×17: 3×3/2, two 3×3 of which the second has the stride, and a max pooling (figure 10)."""

    def __init__(self, inputs: int) -> None:
        super().__init__(
            branch3x3=NormedConvolution(inputs, 384, 3, 2),
            double3x3=nn.Sequential(
                OrderedDict(
                    reduce=NormedConvolution(inputs, 64, 1),
                    conv1=NormedConvolution(64, 96, 3, padding=1),
                    conv2=NormedConvolution(96, 96, 3, 2),
                )
            ),
            pool=nn.MaxPool2d(3, 2),
        )


class InceptionB(Branches):
    """1×1, a 7×7 in two strips, two of them in four, and means (figure 6, n = 7): 768 channels.

    `narrow` is the number of filters of the strips before the last.
    """

    def __init__(self, inputs: int, narrow: int) -> None:
        super().__init__(
            branch1x1=NormedConvolution(inputs, 192, 1),
            branch7x7=nn.Sequential(
                OrderedDict(
                    reduce=NormedConvolution(inputs, narrow, 1),
                    wide=_wide(narrow, narrow, 7),
                    tall=_tall(narrow, 192, 7),
                )
            ),
            double7x7=nn.Sequential(
                OrderedDict(
                    reduce=NormedConvolution(inputs, narrow, 1),
                    tall1=_tall(narrow, narrow, 7),
                    wide1=_wide(narrow, narrow, 7),
                    tall2=_tall(narrow, narrow, 7),
                    wide2=_wide(narrow, 192, 7),
                )
            ),
            pool=_pooled(inputs, 192),
        )


class HalvingB(Branches):
    """From 17×17 to 8×8: 3×3/2, a 7×7 in two strips before another, and a max pooling."""

    def __init__(self, inputs: int) -> None:
        super().__init__(
            branch3x3=nn.Sequential(
                OrderedDict(reduce=NormedConvolution(inputs, 192, 1), conv=NormedConvolution(192, 320, 3, 2))
            ),
            branch7x7=nn.Sequential(
                OrderedDict(
                    reduce=NormedConvolution(inputs, 192, 1),
                    wide=_wide(192, 192, 7),
                    tall=_tall(192, 192, 7),
                    conv=NormedConvolution(192, 192, 3, 2),
                )
            ),
            pool=nn.MaxPool2d(3, 2),
        )


class InceptionC(Branches):
    """1×1, a fan of 1×3 and 3×1, a 3×3 before such a fan, and means (figure 7): 2048 channels."""

    def __init__(self, inputs: int) -> None:
        super().__init__(
            branch1x1=NormedConvolution(inputs, 320, 1),
            branch3x3=nn.Sequential(
                OrderedDict(
                    reduce=NormedConvolution(inputs, 384, 1),
                    fan=Branches(wide=_wide(384, 384, 3), tall=_tall(384, 384, 3)),
                )
            ),
            double3x3=nn.Sequential(
                OrderedDict(
                    reduce=NormedConvolution(inputs, 448, 1),
                    conv=NormedConvolution(448, 384, 3, padding=1),
                    fan=Branches(wide=_wide(384, 384, 3), tall=_tall(384, 384, 3)),
                )
            ),
            pool=_pooled(inputs, 192),
        )


class AuxiliaryClassifier(nn.Sequential):
    """Means of 5×5/3, 1×1 and 5×5 convolutions with batch normalization, and a layer of logits."""

    def __init__(self, inputs: int, classes: int) -> None:
        super().__init__(
            OrderedDict(
                pool=nn.AvgPool2d(5, 3),
                reduce=NormedConvolution(inputs, 128, 1),
                conv=NormedConvolution(128, 768, 5),
                mean=GlobalAveragePool(),
                fc=nn.Linear(768, classes),
            )
        )


class InceptionV3(Network):
    """The stem, three modules A, four B and two C. `early` are the layers up to the auxiliary classifier."""

    head = "fc"

    def __init__(self, channels: int, size: tuple[int, int], classes: int) -> None:
        super().__init__()
        self.early = nn.Sequential(
            OrderedDict(
                conv1=NormedConvolution(channels, 32, 3, 2),
                conv2=NormedConvolution(32, 32, 3),
                conv3=NormedConvolution(32, 64, 3, padding=1),
                pool1=nn.MaxPool2d(3, 2),
                conv4=NormedConvolution(64, 80, 1),
                conv5=NormedConvolution(80, 192, 3),
                pool2=nn.MaxPool2d(3, 2),
                a1=InceptionA(192, 32),
                a2=InceptionA(256, 64),
                a3=InceptionA(288, 64),
                halving_a=HalvingA(288),
                b1=InceptionB(768, 128),
                b2=InceptionB(768, 160),
                b3=InceptionB(768, 160),
                b4=InceptionB(768, 192),
            )
        )
        self.late = nn.Sequential(OrderedDict(halving_b=HalvingB(768), c1=InceptionC(1280), c2=InceptionC(2048)))
        self.pool = GlobalAveragePool()
        self.dropout = nn.Dropout(0.2)
        self.fc = nn.Linear(2048, classes)
        self.auxiliary = nn.ModuleDict()
        classifier = AuxiliaryClassifier(768, classes)
        depth, height, width = output_shape(self.early, (channels, *size))
        with contextlib.suppress(EmptyMapError):  # then there is none
            output_shape(classifier, (depth, height, width))
            self.auxiliary["b4"] = classifier
        self.auxiliary_heads: Mapping[str, str] = {name: f"auxiliary.{name}.fc" for name in self.auxiliary}
        self.feature_maps = {
            "stem": "early.conv3.relu",
            "stage1": "early.conv5.relu",
            "stage2": "early.a3.concat",
            "stage3": "early.b4.concat",
            "stage4": "late.c2.concat",
        }
        he_(self)
        for path in (self.head, *self.auxiliary_heads.values()):
            xavier_(self.get_submodule(path))  # no ReLU follows it

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k"]:
        return self.fc(self.dropout(self.pool(self.late(self.early(x)))))

    def forward_with_auxiliary(
        self, x: Float[Tensor, "n c h w"]
    ) -> tuple[Float[Tensor, "n k"], dict[str, Float[Tensor, "n k"]]]:
        x = self.early(x)
        others = {name: classifier(x) for name, classifier in self.auxiliary.items()}
        return self.fc(self.dropout(self.pool(self.late(x)))), others


register_family("inception_v3", InceptionV3, {"inception_v3": {}})
