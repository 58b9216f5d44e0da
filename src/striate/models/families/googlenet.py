"""GoogLeNet: Inception modules, 22 layers deep, with two more classifiers on the way for training.

Szegedy, Liu, Jia, Sermanet, Reed, Anguelov, Erhan, Vanhoucke and Rabinovich, "Going deeper with convolutions", CVPR
2015, arXiv:1409.4842. The modules are those of figure 2, `NaiveInception` of its part (a) and `Inception` of its part
(b); the network is that of table 1 and figure 3.

A pooling whose windows do not fit its map lets the last one hang over the border, as in Caffe's network. The constants
of the local response normalization are AlexNet's; the paper does not give them. Neither does it say how the first
weights are drawn: they are He's (arXiv:1502.01852), in the layers of logits Xavier's.

Table 1 prints 2.7 K parameters and 34 M operations for the first convolution, which has 9,408 weights and 118 M: the
figures are those of a separable one, eight 7×7 filters for each channel and 64 of 1×1 over them (2,712 weights), as the
authors describe a year later for the network of `inception_v2`. Here it is the 7×7 of text, table and figure. The other
rows' operations are ours, except for 5a: 51 M, where 54 M is printed.

The two auxiliary classifiers (section 5) sit after modules 4a and 4d. In training the loss of each is added at a
weight of 0.3; in use they are not computed. Their pooling needs maps of at least 5×5, which an image of 79×79 gives:
for a smaller one they are not built, and the network is trained by its main loss alone.

`googlenet_bn` is what torchvision ships: batch normalization after each convolution, in place of biases and of the
local response normalization; 3×3 convolutions where the paper has 5×5 (an old slip, kept for the sake of its weights);
2×2 for the last pooling; auxiliary classifiers on 4×4 means of a map of any size.
"""

from __future__ import annotations

import contextlib
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor, nn

from striate.layers import Branches, GlobalAveragePool, LocalResponseNorm, he_, xavier_
from striate.models._zoo import Network, register_family
from striate.tracing import EmptyMapError, output_shape

# Table 1: filters of the 1×1; reduction, 3×3; reduction, 5×5; projection after the pooling.
MODULES = {
    "3a": (64, 96, 128, 16, 32, 32),
    "3b": (128, 128, 192, 32, 96, 64),
    "4a": (192, 96, 208, 16, 48, 64),
    "4b": (160, 112, 224, 24, 64, 64),
    "4c": (128, 128, 256, 24, 64, 64),
    "4d": (112, 144, 288, 32, 64, 64),
    "4e": (256, 160, 320, 32, 128, 128),
    "5a": (256, 160, 320, 32, 128, 128),
    "5b": (384, 192, 384, 48, 128, 128),
}
# The modules after which an auxiliary classifier sits.
AUXILIARY = ("inception4a", "inception4d")


def convolution(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Sequential:
    """Return a convolution padded by half its kernel, and ReLU."""
    return nn.Sequential(OrderedDict(conv=nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2), relu=nn.ReLU()))


def normed_convolution(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Sequential:
    """Return a convolution padded by half its kernel, batch normalization (torchvision's epsilon) and ReLU."""
    return nn.Sequential(
        OrderedDict(
            conv=nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False),
            norm=nn.BatchNorm2d(outputs, eps=1e-3),
            relu=nn.ReLU(),
        )
    )


@dataclass(frozen=True)
class Form:
    """The differences of the paper's network and torchvision's.

    The layers of a convolution, local response normalization, the kernels of a module's third branch and of the last
    max pooling, the pooling of auxiliary classifiers.
    """

    convolution: Callable[..., nn.Sequential]
    local_norm: bool
    largest: int
    last_pool: int
    auxiliary_pool: Callable[[], nn.Module]


PAPER = Form(convolution, True, largest=5, last_pool=3, auxiliary_pool=lambda: nn.AvgPool2d(5, 3))
TORCHVISION = Form(normed_convolution, False, largest=3, last_pool=2, auxiliary_pool=lambda: nn.AdaptiveAvgPool2d(4))


class NaiveInception(Branches):
    """1×1, 3×3 and 5×5 convolutions of one map and its 3×3 maxima, side by side (figure 2a).

    The pooling passes all its channels on, so that the sum of filters can only grow from module to module.
    """

    def __init__(self, inputs: int, ones: int, threes: int, fives: int) -> None:
        super().__init__(
            branch1x1=convolution(inputs, ones, 1),
            branch3x3=convolution(inputs, threes, 3),
            branch5x5=convolution(inputs, fives, 5),
            pool=nn.MaxPool2d(3, 1, 1),
        )


class Inception(Branches):
    """The same with 1×1 convolutions before the 3×3 and the 5×5, and after the pooling (figure 2b).

    The numbers of filters are those of a row of table 1.
    """

    def __init__(
        self,
        inputs: int,
        ones: int,
        reduced_threes: int,
        threes: int,
        reduced_fives: int,
        fives: int,
        projected: int,
        *,
        form: Form = PAPER,
    ) -> None:
        make = form.convolution
        super().__init__(
            branch1x1=make(inputs, ones, 1),
            branch3x3=nn.Sequential(
                OrderedDict(reduce=make(inputs, reduced_threes, 1), conv=make(reduced_threes, threes, 3))
            ),
            branch5x5=nn.Sequential(
                OrderedDict(reduce=make(inputs, reduced_fives, 1), conv=make(reduced_fives, fives, form.largest))
            ),
            pool=nn.Sequential(OrderedDict(pool=nn.MaxPool2d(3, 1, 1), project=make(inputs, projected, 1))),
        )


class AuxiliaryClassifier(nn.Sequential):
    """Means, 128 filters of 1×1, 1024 units with dropout of 70 % and a layer of logits (section 5).

    Raises:
        EmptyMapError: the means leave nothing of a map of `shape` (c, h, w).
    """

    def __init__(self, shape: tuple[int, int, int], classes: int, form: Form) -> None:
        pool = form.auxiliary_pool()
        channels, height, width = output_shape(pool, shape)
        super().__init__(
            OrderedDict(
                pool=pool,
                reduce=form.convolution(channels, 128, 1),
                flatten=nn.Flatten(),
                fc1=nn.Linear(128 * height * width, 1024),
                relu=nn.ReLU(),
                dropout=nn.Dropout(0.7),
                fc2=nn.Linear(1024, classes),
            )
        )


class GoogLeNet(Network):
    """Table 1, from the first convolution to the logits.

    `auxiliary` holds the auxiliary classifiers, each under the name of the module that it sits after.
    """

    head = "fc"

    def __init__(self, form: Form, channels: int, size: tuple[int, int], classes: int) -> None:
        super().__init__()
        self.features = nn.Sequential(_features(form, channels))
        self.pool = GlobalAveragePool()
        self.dropout = nn.Dropout(0.4)
        self.fc = nn.Linear(1024, classes)
        self.auxiliary = nn.ModuleDict()
        names = [name for name, _ in self.features.named_children()]
        for name in AUXILIARY:
            depth, height, width = output_shape(self.features[: names.index(name) + 1], (channels, *size))
            with contextlib.suppress(EmptyMapError):  # then it is not built
                self.auxiliary[name] = AuxiliaryClassifier((depth, height, width), classes, form)
        self.auxiliary_heads: Mapping[str, str] = {name: f"auxiliary.{name}.fc2" for name in self.auxiliary}
        self.feature_maps = {
            "stem": "features.conv1.relu",
            "stage1": "features.conv3.relu",
            "stage2": "features.inception3b.concat",
            "stage3": "features.inception4e.concat",
            "stage4": "features.inception5b.concat",
        }
        he_(self)
        for path in (self.head, *self.auxiliary_heads.values()):
            xavier_(self.get_submodule(path))  # no ReLU follows it

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k"]:
        return self.fc(self.dropout(self.pool(self.features(x))))

    def forward_with_auxiliary(
        self, x: Float[Tensor, "n c h w"]
    ) -> tuple[Float[Tensor, "n k"], dict[str, Float[Tensor, "n k"]]]:
        others: dict[str, Tensor] = {}
        for name, layer in self.features.named_children():
            x = layer(x)
            if name in self.auxiliary:
                others[name] = self.auxiliary[name](x)
        return self.fc(self.dropout(self.pool(x))), others


def _features(form: Form, channels: int) -> OrderedDict[str, nn.Module]:
    make = form.convolution
    layers: OrderedDict[str, nn.Module] = OrderedDict(
        conv1=make(channels, 64, 7, 2), pool1=nn.MaxPool2d(3, 2, ceil_mode=True)
    )
    if form.local_norm:
        layers["norm1"] = LocalResponseNorm()
    layers |= {"conv2": make(64, 64, 1), "conv3": make(64, 192, 3)}
    if form.local_norm:
        layers["norm2"] = LocalResponseNorm()
    layers["pool2"] = nn.MaxPool2d(3, 2, ceil_mode=True)
    inputs = 192
    for name, (ones, reduced_threes, threes, reduced_fives, fives, projected) in MODULES.items():
        if name == "4a":
            layers["pool3"] = nn.MaxPool2d(3, 2, ceil_mode=True)
        if name == "5a":
            layers["pool4"] = nn.MaxPool2d(form.last_pool, 2, ceil_mode=True)
        layers[f"inception{name}"] = Inception(
            inputs, ones, reduced_threes, threes, reduced_fives, fives, projected, form=form
        )
        inputs = ones + threes + fives + projected
    return layers


VARIANTS = {
    "googlenet": dict(form=PAPER),
    "googlenet_bn": dict(form=TORCHVISION),
}
register_family("googlenet", GoogLeNet, VARIANTS)
