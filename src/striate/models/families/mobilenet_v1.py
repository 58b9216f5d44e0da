"""MobileNet v1: every 3×3 convolution taken apart into one per channel and one 1×1 convolution across them.

Howard, Zhu, Chen, Kalenichenko, Wang, Weyand, Andreetto and Adam, "MobileNets: efficient convolutional neural networks
for mobile vision applications", 2017, arXiv:1704.04861.

Table 1 is the network, figure 3 (right) its block; the width multiplier α of section 3.3 makes every layer thinner. The
table gives its last depthwise convolution a stride of 2, but the same size after it: the stride is 1.

Where the paper is silent, or its weights are other, this is the authors' code (TF-Slim): ReLU6 where figure 3 has ReLU,
TensorFlow's padding, batch norm's epsilon of 0.001, first weights normal with a standard deviation of 0.09, cut at two
of them. Two things of that code are left out: batch norm's momentum of 0.0003, which is for millions of steps (torch's
0.1 here), and a dropout of one in a thousand before the classifier.
"""

from __future__ import annotations

import functools

from jaxtyping import Float
from torch import Tensor, nn

from striate.layers import Conv2dSame, GlobalAveragePool, truncated_normal_
from striate.models._zoo import Network, register_family

_batch_norm = functools.partial(nn.BatchNorm2d, eps=1e-3)
# Table 1: for each stage, the filters and strides of its blocks, before the width multiplier.
_STAGES = (
    ((64, 1),),
    ((128, 2), (128, 1)),
    ((256, 2), (256, 1)),
    ((512, 2), (512, 1), (512, 1), (512, 1), (512, 1), (512, 1)),
    ((1024, 2), (1024, 1)),
)


class DepthwiseSeparable(nn.Module):
    """A 3×3 convolution of each channel by itself, then a 1×1 convolution, each with norm and ReLU6 (figure 3)."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.depthwise = Conv2dSame(inputs, inputs, 3, stride, groups=inputs, bias=False)
        self.norm1 = _batch_norm(inputs)
        self.relu1 = nn.ReLU6()
        self.pointwise = nn.Conv2d(inputs, outputs, 1, bias=False)
        self.norm2 = _batch_norm(outputs)
        self.relu2 = nn.ReLU6()

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k y x"]:
        x = self.relu1(self.norm1(self.depthwise(x)))
        return self.relu2(self.norm2(self.pointwise(x)))


class MobileNetV1(Network):
    """A 3×3 convolution, 13 separable ones, the global mean and a classifier; `width` is the paper's α."""

    head = "fc"

    def __init__(self, channels: int, classes: int, width: float) -> None:
        super().__init__()
        inputs = int(32 * width)
        self.conv = Conv2dSame(channels, inputs, 3, 2, bias=False)
        self.norm = _batch_norm(inputs)
        self.relu = nn.ReLU6()
        self.feature_maps = {"stem": "relu"}
        self.stages = nn.Sequential()
        for number, blocks in enumerate(_STAGES, start=1):
            stage = nn.Sequential()
            for index, (filters, stride) in enumerate(blocks, start=1):
                outputs = int(filters * width)
                stage.add_module(f"block{index}", DepthwiseSeparable(inputs, outputs, stride))
                inputs = outputs
            self.stages.add_module(f"stage{number}", stage)
            self.feature_maps[f"stage{number}"] = f"stages.stage{number}.block{len(blocks)}.relu2"
        self.pool = GlobalAveragePool()
        self.fc = nn.Linear(inputs, classes)
        truncated_normal_(self, 0.09)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k"]:
        x = self.relu(self.norm(self.conv(x)))
        return self.fc(self.pool(self.stages(x)))


VARIANTS = {
    "mobilenet_v1": dict(width=1.0),
    "mobilenet_v1_075": dict(width=0.75),
    "mobilenet_v1_050": dict(width=0.5),
    "mobilenet_v1_025": dict(width=0.25),
}
register_family("mobilenet_v1", MobileNetV1, VARIANTS)
