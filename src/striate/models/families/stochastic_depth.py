"""Stochastic depth: ResNets that train as shorter ones, a different one at each step, and are used whole.

Huang, Sun, Liu, Sedra and Weinberger, "Deep networks with stochastic depth", ECCV 2016, arXiv:1603.09382.

    x' = relu(b F(x) + x),  b = 1 with probability p_l = 1 - l/L · (1 - p_L), else 0        eqs. 2 and 4, p_L = 0.5
    x' = relu(p_l F(x) + x)                                                                eq. 5, in use

so that the last of L blocks is left out every second time and the first hardly ever. `layers.StochasticDepth` divides
by p_l in training where the paper multiplies in use, and draws for each image where the paper draws for the batch. To
be the paper's network nevertheless, in both modes, each branch begins with a scale of p_l in its last batch norm: the
initial outputs and their gradients are the same, only that scale then learns at another rate.

The nets are ResNet's: 110 and 1202 layers for CIFAR-10, 152 for ImageNet (with the stride in the 3×3 convolution).
Where a block changes the shape, the nets for CIFAR-10 take means of 2×2 pixels and append zero channels (the authors'
code).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence

from jaxtyping import Float
from torch import Tensor, nn

from striate.layers import StochasticDepth
from striate.models._stages import Block, MakeBlock
from striate.models._zoo import Network, register_family
from striate.models.families.resnet import Bottleneck, ResNet
from striate.models.families.resnet_cifar import BlockA, CifarResNet


class DroppedBlock(BlockA):
    """Two 3×3 convolutions that are left out at a `rate`, and a shortcut without parameters."""

    def __init__(self, inputs: int, width: int, stride: int, rate: float) -> None:
        super().__init__(inputs, width, stride)
        self.drop = StochasticDepth(rate)
        nn.init.constant_(self.norm2.weight, 1 - rate)

    @staticmethod
    def changing_shortcut(inputs: int, outputs: int, stride: int) -> nn.Module:
        means = nn.AvgPool2d(stride, ceil_mode=True)
        zeros = nn.ZeroPad3d((0, 0, 0, 0, 0, outputs - inputs))  # of the last three dimensions: channels, rows, columns
        return nn.Sequential(OrderedDict(means=means, zeros=zeros))

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k y x"]:
        return self.relu2(self.add(self.drop(self.residual(x)), self.shortcut(x)))


class DroppedBottleneck(Bottleneck):
    """ResNet's bottleneck, left out at a `rate`."""

    def __init__(self, inputs: int, width: int, stride: int, rate: float) -> None:
        super().__init__(inputs, width, stride)
        self.drop = StochasticDepth(rate)
        nn.init.constant_(self.norm3.weight, 1 - rate)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k y x"]:
        return self.relu3(self.add(self.drop(self.residual(x)), self.shortcut(x)))


def linear_decay(make_block: Callable[[int, int, int, float], Block], blocks: int, *, survival: float) -> MakeBlock:
    """Give the l-th of `blocks` blocks the rate l / blocks · (1 - survival) (eq. 4)."""
    rates = iter([number / blocks * (1 - survival) for number in range(1, blocks + 1)])
    return lambda inputs, width, stride: make_block(inputs, width, stride, next(rates))


def for_cifar(channels: int, classes: int, layers: int) -> Network:
    """Build the network for CIFAR-10, whose last block survives in half of the steps."""
    return CifarResNet(channels, classes, linear_decay(DroppedBlock, (layers - 2) // 2, survival=0.5), layers)


def for_imagenet(channels: int, classes: int, blocks: Sequence[int]) -> Network:
    """Build the network for ImageNet, whose last block survives in half of the steps."""
    return ResNet(channels, classes, linear_decay(DroppedBottleneck, sum(blocks), survival=0.5), blocks)


CIFAR = {
    "resnet110_stochastic_depth": dict(layers=110),
    "resnet1202_stochastic_depth": dict(layers=1202),
}
IMAGENET = {"resnet152_stochastic_depth": dict(blocks=(3, 8, 36, 3))}
register_family("stochastic_depth", for_cifar, CIFAR)
register_family("stochastic_depth", for_imagenet, IMAGENET)
