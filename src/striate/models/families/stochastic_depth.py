"""Stochastic depth: ResNets that train as shorter ones, a different one at each step, and are used whole.

Huang, Sun, Liu, Sedra and Weinberger, "Deep networks with stochastic depth", ECCV 2016, arXiv:1603.09382.

    x' = relu(b F(x) + x),  b = 1 with probability p_l = 1 - l/L · (1 - p_L), else 0        eqs. 2 and 4, p_L = 0.5
    x' = relu(p_l F(x) + x)                                                                eq. 5, in use

so that the last of L blocks is left out every second time and the first hardly ever. `layers.StochasticDepth` divides
by p_l in training where the paper multiplies in use, and draws for each picture where the paper draws for the batch. To
be the paper's network nevertheless, in both modes, each branch begins with a scale of p_l in its last batch norm: the
initial outputs and their gradients are the same, only that scale then learns at another rate.

The nets are ResNet's: 110 and 1202 layers for CIFAR-10, 152 for ImageNet (with the stride in the 3×3 convolution).
Where a block changes the shape, the nets for CIFAR-10 take means of 2×2 pixels and append zero channels (the authors'
code).
"""

from __future__ import annotations

import functools
from collections import OrderedDict
from collections.abc import Callable

from jaxtyping import Float
from torch import Tensor, nn

from striate.layers import StochasticDepth
from striate.models._stages import Block, MakeBlock
from striate.models._zoo import ModelCard, Network, Published, register
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


_card = functools.partial(
    ModelCard,
    family="stochastic_depth",
    title="Deep networks with stochastic depth",
    authors="Huang, Sun, Liu, Sedra, Weinberger",
    year=2016,
    paper="https://arxiv.org/abs/1603.09382",
)
_cifar = functools.partial(_card, input=(3, 32, 32), classes=10)
_cifar_test = functools.partial(Published, data="CIFAR-10 test")


@register(
    _cifar(
        name="resnet110_stochastic_depth",
        parameters=1_727_962,
        macs=252_887_680,
        depth=110,
        published=(
            _cifar_test(
                source="https://github.com/yueatsprograms/Stochastic_Depth",
                top1=94.77,
                protocol="single net, one view, at the epoch with the best validation error",
            ),
        ),
    )
)
def resnet110_stochastic_depth(*, channels: int, size: tuple[int, int], classes: int) -> Network:
    """ResNet-110 for CIFAR-10, of which about 40 of 54 blocks train at a time."""
    return CifarResNet(channels, classes, linear_decay(DroppedBlock, 54, survival=0.5), 110)


@register(
    _cifar(
        name="resnet1202_stochastic_depth",
        parameters=19_421_274,
        macs=2_829_238_912,
        depth=1202,
        published=(_cifar_test(source="the paper, abstract", top1=95.09, protocol="single net, one view"),),
        initial="Logits are large: each of 200 blocks in a stage adds a map of up to unit variance to the sum.",
    )
)
def resnet1202_stochastic_depth(*, channels: int, size: tuple[int, int], classes: int) -> Network:
    """ResNet-1202 for CIFAR-10, which only so is better than 110 layers."""
    return CifarResNet(channels, classes, linear_decay(DroppedBlock, 600, survival=0.5), 1202)


@register(
    _card(
        name="resnet152_stochastic_depth",
        input=(3, 224, 224),
        classes=1000,
        parameters=60_192_808,
        macs=11_513_626_624,
        depth=152,
    )
)
def resnet152_stochastic_depth(*, channels: int, size: tuple[int, int], classes: int) -> Network:
    """ResNet-152 for ImageNet with stochastic depth."""
    return ResNet(channels, classes, linear_decay(DroppedBottleneck, 50, survival=0.5), (3, 8, 36, 3))
