"""Xception: an Inception network taken to its end, where every convolution looks at one channel at a time.

Chollet, "Xception: deep learning with depthwise separable convolutions", CVPR 2017, arXiv:1610.02357, figure 5: entry
flow, a middle flow of eight equal blocks, exit flow. A separable convolution is a 3×3 for each channel by itself and a
1×1 over all of them, with nothing between (section 4.7 finds a ReLU there harmful). Batch normalization follows every
convolution, separable or not; the figure leaves it out.

Padding is TensorFlow's "same" where the map is kept or halved, and none in the first two convolutions, as in the
author's code (Keras). timm pads the poolings by one at both ends, which for a map with an even side is another
network. Dropout before the logits is the paper's (0.5, section 4.3); the code has none. First weights (Xavier's,
uniform) and epsilon (0.001) are Keras's defaults; momentum is torch's 0.1, Keras's would be 0.01. The optional fully
connected layers before the logits, which the paper tries on other data, are not here.
"""

from __future__ import annotations

from collections import OrderedDict

from jaxtyping import Float
from torch import Tensor, nn

from striate.layers import Add, Conv2dSame, GlobalAveragePool, MaxPool2dSame, SeparableConv2d, xavier_
from striate.models._zoo import Network, register_family

_MIDDLE_BLOCKS = 8


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3)


def _separable(inputs: int, outputs: int) -> SeparableConv2d:
    return SeparableConv2d(inputs, outputs, 3, padding=1, bias=False)


class Block(nn.Module):
    """ReLU and a separable convolution, as often as there are `filters`, and a shortcut past them.

    Where `halved`, a 3×3/2 max pooling closes the branch and a 1×1/2 convolution stands on the shortcut. The first
    block of the network does not begin with a ReLU: one precedes it.
    """

    def __init__(self, inputs: int, filters: tuple[int, ...], *, halved: bool, first: bool = False) -> None:
        super().__init__()
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        channels = inputs
        for number, outputs in enumerate(filters, start=1):
            if number > 1 or not first:
                layers[f"relu{number}"] = nn.ReLU()
            layers[f"conv{number}"] = _separable(channels, outputs)
            layers[f"norm{number}"] = _norm(outputs)
            channels = outputs
        self.shortcut: nn.Module = nn.Identity()
        if halved:
            layers["pool"] = MaxPool2dSame(3, 2)
            self.shortcut = nn.Sequential(
                OrderedDict(conv=Conv2dSame(inputs, channels, 1, 2, bias=False), norm=_norm(channels))
            )
        self.branch = nn.Sequential(layers)
        self.add = Add()

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k y x"]:
        shortcut = self.shortcut(x)
        return self.add(self.branch(x), shortcut)


class Xception(Network):
    """Figure 5, from the first convolution to the logits."""

    head = "fc"

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.entry = nn.Sequential(
            OrderedDict(
                conv1=nn.Conv2d(channels, 32, 3, 2, bias=False),
                norm1=_norm(32),
                relu1=nn.ReLU(),
                conv2=nn.Conv2d(32, 64, 3, bias=False),
                norm2=_norm(64),
                relu2=nn.ReLU(),
                block1=Block(64, (128, 128), halved=True, first=True),
                block2=Block(128, (256, 256), halved=True),
                block3=Block(256, (728, 728), halved=True),
            )
        )
        self.middle = nn.Sequential(*(Block(728, (728, 728, 728), halved=False) for _ in range(_MIDDLE_BLOCKS)))
        self.exit = nn.Sequential(
            OrderedDict(
                block=Block(728, (728, 1024), halved=True),
                conv1=_separable(1024, 1536),
                norm1=_norm(1536),
                relu1=nn.ReLU(),
                conv2=_separable(1536, 2048),
                norm2=_norm(2048),
                relu2=nn.ReLU(),
            )
        )
        self.pool = GlobalAveragePool()
        self.dropout = nn.Dropout(0.5)
        self.fc = nn.Linear(2048, classes)
        self.feature_maps = {
            "stem": "entry.relu2",
            "stage1": "entry.block1.add",
            "stage2": "entry.block2.add",
            "stage3": f"middle.{_MIDDLE_BLOCKS - 1}.add",
            "stage4": "exit.relu2",
        }
        xavier_(self)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k"]:
        x = self.exit(self.middle(self.entry(x)))
        return self.fc(self.dropout(self.pool(x)))


register_family("xception", Xception, {"xception": {}})
