"""ResNet-RS: ResNet-D with gates, made deeper more than wider and trained longer, which made it good again.

Bello, Fedus, Du, Cubuk, Srinivas, Lin, Shlens and Zoph, "Revisiting ResNets: improved training and scaling
strategies", NeurIPS 2021, arXiv:2103.07579. ResNet-D, in which a 3×3 convolution takes the place of the stem's pooling,
and squeeze-and-excitation, a quarter as wide, stands at the end of each branch (section 4); dropout before the last
layer and, from 200 layers on, stochastic depth (the rates of the authors' configurations). Depths and image sizes
are those of the released nets. The number in a name is ResNet's: it counts neither the three layers more in the stem
nor two for each gate, which the depth on our cards does.

Stochastic depth drops more in later stages: two, three, four and five fifths of the rate in stages 1 to 4 (the authors'
code, which counts the stem as the first fifth).
The paper does not give initial weights: He's with the fan-in are used, and zero for the scale of each branch's last
batch norm, as in ResNet-D. The authors' batch norm keeps the last batch's statistics only (momentum 0), because they
average weights and statistics over many steps as well; a network by itself cannot, so the momentum is torch's, 0.1.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor, nn

from striate.layers import Add, GlobalAveragePool, SqueezeExcitation, StochasticDepth, he_
from striate.models._stages import Block, Stages
from striate.models._zoo import Network, register_family
from striate.models.families.resnet_d import averaging_projection, deep_stem


class BottleneckRS(Block):
    """ResNet-D's bottleneck with a gate after its last batch norm, left out at a rate in training."""

    last = "relu3"

    def __init__(self, inputs: int, width: int, stride: int, drop: float) -> None:
        super().__init__()
        self.outputs = 4 * width
        self.conv1 = nn.Conv2d(inputs, width, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(width)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(width, width, 3, stride, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)
        self.relu2 = nn.ReLU()
        self.conv3 = nn.Conv2d(width, self.outputs, 1, bias=False)
        self.norm3 = nn.BatchNorm2d(self.outputs)
        self.gate = SqueezeExcitation(self.outputs, self.outputs // 4)
        self.drop = StochasticDepth(drop)
        self.shortcut = averaging_projection(inputs, self.outputs, stride)
        self.add = Add()
        self.relu3 = nn.ReLU()
        nn.init.zeros_(self.norm3.weight)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k y x"]:
        branch = self.relu1(self.norm1(self.conv1(x)))
        branch = self.relu2(self.norm2(self.conv2(branch)))
        branch = self.gate(self.norm3(self.conv3(branch)))
        return self.relu3(self.add(self.drop(branch), self.shortcut(x)))


class ResNetRS(Network):
    """Four stages of `blocks`, `dropout` before the last layer; `drop` is stochastic depth's rate in the last stage."""

    head = "fc"

    def __init__(
        self, channels: int, classes: int, blocks: Sequence[int], *, dropout: float = 0.25, drop: float = 0.0
    ) -> None:
        super().__init__()
        self.stem = deep_stem(channels)
        conv = nn.Conv2d(64, 64, 3, 2, padding=1, bias=False)
        self.shrink = nn.Sequential(OrderedDict(conv=conv, norm=nn.BatchNorm2d(64), relu=nn.ReLU()))
        rates = iter([drop * (stage + 1) / 5 for stage, count in enumerate(blocks, start=1) for _ in range(count)])
        stages = Stages(lambda *shape: BottleneckRS(*shape, drop=next(rates)), 64)
        self.stage1 = stages.stack(64, blocks[0])
        self.stage2 = stages.stack(128, blocks[1], stride=2)
        self.stage3 = stages.stack(256, blocks[2], stride=2)
        self.stage4 = stages.stack(512, blocks[3], stride=2)
        self.feature_maps = {"stem": "stem.relu3", **stages.maps}
        self.pool = GlobalAveragePool()
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(stages.outputs, classes)
        he_(self)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k"]:
        x = self.shrink(self.stem(x))
        x = self.stage4(self.stage3(self.stage2(self.stage1(x))))
        return self.fc(self.dropout(self.pool(x)))


VARIANTS = {
    "resnet_rs50": dict(blocks=(3, 4, 6, 3)),
    "resnet_rs101": dict(blocks=(3, 4, 23, 3)),
    "resnet_rs152": dict(blocks=(3, 8, 36, 3)),
    "resnet_rs200": dict(blocks=(3, 24, 36, 3), drop=0.1),
    "resnet_rs270": dict(blocks=(4, 29, 53, 4), drop=0.1),
    "resnet_rs350": dict(blocks=(4, 36, 72, 4), drop=0.1),
    "resnet_rs420": dict(blocks=(4, 44, 87, 4), dropout=0.4, drop=0.1),
}
register_family("resnet_rs", ResNetRS, VARIANTS)
