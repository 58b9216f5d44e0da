"""The ResNets for CIFAR-10: narrow, up to 1202 layers deep, and nothing but 3×3 convolutions.

He, Zhang, Ren and Sun, "Deep residual learning for image recognition", CVPR 2016, arXiv:1512.03385, section 4.2.

A 3×3 convolution of 16 filters, three stages of n blocks with 16, 32 and 64, whose maps are those of 32, 16 and 8 rows,
the mean of each map, one layer: 6n + 2 layers. The paper uses option A for its shortcuts everywhere here: where a block
changes the shape, every other pixel is taken and the missing channels are zeros, so a shortcut has no parameters
(`resnet20` …). With option B it is a 1×1 convolution, as in the nets for ImageNet (`resnet20_b` …).

The zeros of option A lie on both sides of the channels, half of them each, as in the most used published weights; where
they lie changes the order of channels and nothing else. Batch norm's momentum and epsilon, which the paper does not
give, are torch's; initial weights are He's with the fan-in.
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from striate.layers import Add, GlobalAveragePool, he_
from striate.models._stages import Block, MakeBlock, Stages
from striate.models._zoo import Network, register_family


class ZeroPadded(nn.Module):
    """Option A (section 3.3): every `stride`-th pixel, and zeros for the channels that the input does not have."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        before = (outputs - inputs) // 2
        self.zeros = before, outputs - inputs - before
        self.stride = stride

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k y x"]:
        return F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, *self.zeros))

    def extra_repr(self) -> str:
        return f"stride={self.stride}, zeros={self.zeros}"


class BlockA(Block):
    """Two 3×3 convolutions, and a shortcut without parameters."""

    last = "relu2"

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.outputs = width
        self.conv1 = nn.Conv2d(inputs, width, 3, stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(width)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)
        changes = inputs != width or stride > 1
        self.shortcut = self.changing_shortcut(inputs, width, stride) if changes else nn.Identity()
        self.add = Add()
        self.relu2 = nn.ReLU()

    @staticmethod
    def changing_shortcut(inputs: int, outputs: int, stride: int) -> nn.Module:
        """Return the shortcut of a block that changes the map's shape."""
        return ZeroPadded(inputs, outputs, stride)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k y x"]:
        return self.relu2(self.add(self.residual(x), self.shortcut(x)))

    def residual(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k y x"]:
        """F(x), what is added to the shortcut."""
        return self.norm2(self.conv2(self.relu1(self.norm1(self.conv1(x)))))


class BlockB(BlockA):
    """The same with option B: a 1×1 convolution and batch norm where the shape changes."""

    @staticmethod
    def changing_shortcut(inputs: int, outputs: int, stride: int) -> nn.Module:
        return nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))


class CifarResNet(Network):
    """Section 4.2's outline: a 3×3 convolution, three stages of (layers - 2) / 6 blocks, the means, one layer."""

    head = "fc"

    def __init__(self, channels: int, classes: int, make_block: MakeBlock, layers: int) -> None:
        super().__init__()
        blocks = (layers - 2) // 6
        self.conv1 = nn.Conv2d(channels, 16, 3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(16)
        self.relu1 = nn.ReLU()
        stages = Stages(make_block, 16)
        self.stage1 = stages.stack(16, blocks)
        self.stage2 = stages.stack(32, blocks, stride=2)
        self.stage3 = stages.stack(64, blocks, stride=2)
        self.feature_maps = {"stem": "relu1", **stages.maps}
        self.pool = GlobalAveragePool()
        self.fc = nn.Linear(64, classes)
        he_(self)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k"]:
        x = self.relu1(self.norm1(self.conv1(x)))
        x = self.stage3(self.stage2(self.stage1(x)))
        return self.fc(self.pool(x))


VARIANTS = {
    "resnet20": dict(make_block=BlockA, layers=20),
    "resnet32": dict(make_block=BlockA, layers=32),
    "resnet44": dict(make_block=BlockA, layers=44),
    "resnet56": dict(make_block=BlockA, layers=56),
    "resnet110": dict(make_block=BlockA, layers=110),
    "resnet1202": dict(make_block=BlockA, layers=1202),
    "resnet20_b": dict(make_block=BlockB, layers=20),
    "resnet32_b": dict(make_block=BlockB, layers=32),
    "resnet44_b": dict(make_block=BlockB, layers=44),
    "resnet56_b": dict(make_block=BlockB, layers=56),
    "resnet110_b": dict(make_block=BlockB, layers=110),
    "resnet1202_b": dict(make_block=BlockB, layers=1202),
}
register_family("resnet_cifar", CifarResNet, VARIANTS)
