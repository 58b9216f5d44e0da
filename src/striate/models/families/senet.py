"""SENet: residual networks whose blocks weigh their channels by what the whole map shows.

Hu, Shen, Albanie, Sun and Wu, "Squeeze-and-excitation networks", CVPR 2018, arXiv:1709.01507 (version 4).

At the end of a block's branch, before the sum, a gate multiplies each channel (section 3, figure 3; r = 16). Table 1
gives SE-ResNet-50 and SE-ResNeXt-50; the appendix gives SENet-154, the network of the ILSVRC 2017 entry: a ResNeXt of
64 groups whose first 1×1 convolutions have half the width, three 3×3 convolutions for the first 7×7, 3×3 convolutions
with stride on the shortcuts, and dropout of 0.2 before the classifier.

Where the paper is silent this is the authors' code (github.com/hujie-frank/SENet, in Caffe): SE-ResNets take their
stride in the first 1×1 convolution, as the ResNets of 2015 did, the others in the 3×3; the first pooling is not padded,
and its last window may hang over the border. First weights are He's, as in section 5.1; the classifier's are Xavier's,
for no ReLU follows it. SE-Inception has a file of its own.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor, nn

from striate.layers import Add, GlobalAveragePool, SqueezeExcitation, he_, xavier_
from striate.models._zoo import Network, register_family

_REDUCTION = 16


@dataclass(frozen=True)
class Plan:
    """The differences between the paper's three kinds of residual network, in numbers.

    `stem`: filters, kernel and stride of the first convolutions. `first`, `middle`: filters of a block's 1×1 and 3×3
    convolution in the first stage, doubled with each later one. `strides`: those of the two where a stage begins.
    `shortcut`: the kernel on the shortcut of such a block.
    """

    stem: tuple[tuple[int, int, int], ...]
    first: int
    middle: int
    groups: int
    strides: tuple[int, int]
    shortcut: int
    dropout: float


RESNET = Plan(stem=((64, 7, 2),), first=64, middle=64, groups=1, strides=(2, 1), shortcut=1, dropout=0.0)
RESNEXT = Plan(stem=((64, 7, 2),), first=128, middle=128, groups=32, strides=(1, 2), shortcut=1, dropout=0.0)
CHALLENGE = Plan(
    stem=((64, 3, 2), (64, 3, 1), (128, 3, 1)),
    first=128,
    middle=256,
    groups=64,
    strides=(1, 2),
    shortcut=3,
    dropout=0.2,
)


class Bottleneck(nn.Module):
    """1×1, 3×3 and 1×1 convolution and a gate, added to the input (figure 3, table 1)."""

    def __init__(
        self,
        inputs: int,
        first: int,
        middle: int,
        outputs: int,
        groups: int,
        strides: tuple[int, int] = (1, 1),
        shortcut: int = 1,
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, first, 1, strides[0], bias=False)
        self.norm1 = nn.BatchNorm2d(first)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(first, middle, 3, strides[1], padding=1, groups=groups, bias=False)
        self.norm2 = nn.BatchNorm2d(middle)
        self.relu2 = nn.ReLU()
        self.conv3 = nn.Conv2d(middle, outputs, 1, bias=False)
        self.norm3 = nn.BatchNorm2d(outputs)
        self.shortcut: nn.Sequential | None = None
        if inputs != outputs:
            stride = strides[0] * strides[1]
            conv = nn.Conv2d(inputs, outputs, shortcut, stride, padding=shortcut // 2, bias=False)
            self.shortcut = nn.Sequential(OrderedDict(conv=conv, norm=nn.BatchNorm2d(outputs)))
        self.excitation = SqueezeExcitation(outputs, outputs // _REDUCTION)
        self.add = Add()
        self.relu3 = nn.ReLU()

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k y x"]:
        branch = self.relu1(self.norm1(self.conv1(x)))
        branch = self.relu2(self.norm2(self.conv2(branch)))
        branch = self.norm3(self.conv3(branch))
        shortcut = x if self.shortcut is None else self.shortcut(x)
        return self.relu3(self.add(self.excitation(branch), shortcut))


class SENet(Network):
    """A stem, four stages of blocks, the global mean and a classifier; `blocks` counts the blocks of each stage.

    Raises:
        EmptyMapError: the images have a side of less than 5 pixels.
    """

    head = "fc"

    def __init__(self, channels: int, classes: int, plan: Plan, blocks: tuple[int, int, int, int]) -> None:
        super().__init__()
        self.stem = nn.Sequential()
        inputs = channels
        for number, (filters, kernel, stride) in enumerate(plan.stem, start=1):
            conv = nn.Conv2d(inputs, filters, kernel, stride, padding=kernel // 2, bias=False)
            self.stem.add_module(f"conv{number}", conv)
            self.stem.add_module(f"norm{number}", nn.BatchNorm2d(filters))
            self.stem.add_module(f"relu{number}", nn.ReLU())
            inputs = filters
        self.feature_maps = {"stem": f"stem.relu{len(plan.stem)}"}
        self.pool = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.stages = nn.Sequential()
        for number, count in enumerate(blocks, start=1):
            outputs = 128 << number
            # The pooling has taken the first stage's stride: there the shortcut only widens.
            strides, shortcut = (plan.strides, plan.shortcut) if number > 1 else ((1, 1), 1)
            widths = (plan.first << (number - 1), plan.middle << (number - 1), outputs, plan.groups)
            stage = nn.Sequential(OrderedDict(block1=Bottleneck(inputs, *widths, strides, shortcut)))
            for index in range(2, count + 1):
                stage.add_module(f"block{index}", Bottleneck(outputs, *widths))
            self.stages.add_module(f"stage{number}", stage)
            inputs = outputs
            self.feature_maps[f"stage{number}"] = f"stages.stage{number}.block{count}.relu3"
        self.average = GlobalAveragePool()
        self.dropout = nn.Dropout(plan.dropout)
        self.fc = nn.Linear(inputs, classes)
        he_(self)
        xavier_(self.fc)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k"]:
        x = self.stages(self.pool(self.stem(x)))
        return self.fc(self.dropout(self.average(x)))


VARIANTS = {
    "se_resnet50": dict(plan=RESNET, blocks=(3, 4, 6, 3)),
    "se_resnet101": dict(plan=RESNET, blocks=(3, 4, 23, 3)),
    "se_resnet152": dict(plan=RESNET, blocks=(3, 8, 36, 3)),
    "se_resnext50_32x4d": dict(plan=RESNEXT, blocks=(3, 4, 6, 3)),
    "se_resnext101_32x4d": dict(plan=RESNEXT, blocks=(3, 4, 23, 3)),
    "senet154": dict(plan=CHALLENGE, blocks=(3, 8, 36, 3)),
}
register_family("senet", SENet, VARIANTS)
