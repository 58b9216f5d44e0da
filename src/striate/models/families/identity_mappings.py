"""What happens to ResNet-110 if its shortcuts do anything but hand on: five ways, all worse.

He, Zhang, Ren and Sun, "Identity mappings in deep residual networks", ECCV 2016, arXiv:1603.05027, section 3.1, figure
2 and table 1, on CIFAR-10. Each block is the original one but for its sum:

    original              relu(F + x)               6.61 % wrong: `resnet110`, in `resnet_cifar`
    constant scaling      relu(F / 2 + x / 2)       12.35 %
    exclusive gating      relu(g F + (1 - g) x)     8.70 %
    shortcut-only gating  relu(F + (1 - g) x)       6.91 %, the gates almost shut at first; 12.86 % if half open
    1×1 convolution       relu(F + W x)             12.22 %
    dropout               relu(F + dropout(x))      fails: above 20 %

with the gate g = sigmoid(W x + b), a 1×1 convolution that gives a number for each value of the map, and b = -6 at first
(the best of the biases tried). What the paper found better than the original, pre-activation, is in `resnet_v2`.

The paper does not say what becomes of the two blocks that change the map's shape. Here x is then option A's shortcut,
and the 1×1 convolutions move by the block's stride. Behind the 1×1 shortcut stands batch norm (the figure's caption:
behind every convolution), behind the gates' convolution none, as it would take the bias away.
"""

from __future__ import annotations

import functools
from collections import OrderedDict

from jaxtyping import Float
from torch import Tensor, nn

from striate.models._stages import MakeBlock
from striate.models._zoo import ModelCard, Network, Published, register
from striate.models.families.resnet_cifar import BlockA, CifarResNet

_GATE_BIAS = -6.0


class Scaled(BlockA):
    """Constant scaling (figure 2b): half of both."""

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k y x"]:
        return self.relu2(self.add(0.5 * self.residual(x), 0.5 * self.shortcut(x)))


class ShortcutGated(BlockA):
    """Shortcut-only gating (figure 2d): a gate lets less of the shortcut through, and the branch is left alone."""

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__(inputs, width, stride)
        self.gate = nn.Sequential(OrderedDict(conv=nn.Conv2d(inputs, width, 1, stride), sigmoid=nn.Sigmoid()))

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k y x"]:
        return self.relu2(self.add(self.residual(x), (1 - self.gate(x)) * self.shortcut(x)))


class ExclusivelyGated(ShortcutGated):
    """Exclusive gating (figure 2c), as in highway networks: what is added of the one is missing from the other."""

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k y x"]:
        gate = self.gate(x)
        return self.relu2(self.add(gate * self.residual(x), (1 - gate) * self.shortcut(x)))


class ConvShortcut(BlockA):
    """A 1×1 convolution for every shortcut (figure 2e; option C of the first paper)."""

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__(inputs, width, stride)
        self.shortcut = nn.Sequential(nn.Conv2d(inputs, width, 1, stride, bias=False), nn.BatchNorm2d(width))


class DropoutShortcut(BlockA):
    """Dropout of every second value of the shortcut (figure 2f)."""

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__(inputs, width, stride)
        self.dropout = nn.Dropout(0.5)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k y x"]:
        return self.relu2(self.add(self.residual(x), self.dropout(self.shortcut(x))))


def _resnet110(channels: int, classes: int, make_block: MakeBlock) -> Network:
    network = CifarResNet(channels, classes, make_block, 110)
    for module in network.modules():
        if isinstance(module, ShortcutGated):
            nn.init.constant_(module.gate.get_parameter("conv.bias"), _GATE_BIAS)
    return network


_card = functools.partial(
    ModelCard,
    family="identity_mappings",
    title="Identity mappings in deep residual networks",
    authors="He, Zhang, Ren, Sun",
    year=2016,
    paper="https://arxiv.org/abs/1603.05027",
    input=(3, 32, 32),
    classes=10,
)
_table_1 = functools.partial(
    Published, source="the paper, table 1", data="CIFAR-10 test", protocol="single net, the median of 5"
)


@register(
    _card(name="resnet110_scaled", parameters=1_727_962, macs=252_887_680, depth=110, published=(_table_1(top1=87.65),))
)
def resnet110_scaled(*, channels: int, size: tuple[int, int], classes: int) -> Network:
    """ResNet-110 with half the shortcut and half the branch."""
    return _resnet110(channels, classes, Scaled)


@register(
    _card(
        name="resnet110_exclusive_gates",
        parameters=1_824_186,
        macs=266_781_312,
        depth=110,
        published=(_table_1(top1=91.30),),
    )
)
def resnet110_exclusive_gates(*, channels: int, size: tuple[int, int], classes: int) -> Network:
    """ResNet-110 with gates that share out between branch and shortcut."""
    return _resnet110(channels, classes, ExclusivelyGated)


@register(
    _card(
        name="resnet110_shortcut_gates",
        parameters=1_824_186,
        macs=266_781_312,
        depth=110,
        published=(_table_1(top1=93.09),),
    )
)
def resnet110_shortcut_gates(*, channels: int, size: tuple[int, int], classes: int) -> Network:
    """ResNet-110 with gates on its shortcuts."""
    return _resnet110(channels, classes, ShortcutGated)


@register(
    _card(
        name="resnet110_conv_shortcuts",
        parameters=1_826_202,
        macs=266_781_312,
        depth=110,
        published=(_table_1(top1=87.78),),
    )
)
def resnet110_conv_shortcuts(*, channels: int, size: tuple[int, int], classes: int) -> Network:
    """ResNet-110 with a 1×1 convolution for every shortcut."""
    return _resnet110(channels, classes, ConvShortcut)


@register(
    _card(
        name="resnet110_dropout_shortcuts",
        parameters=1_727_962,
        macs=252_887_680,
        depth=110,
        notes="The paper reports no error below 20 %: the training fails.",
    )
)
def resnet110_dropout_shortcuts(*, channels: int, size: tuple[int, int], classes: int) -> Network:
    """ResNet-110 with dropout of a half on its shortcuts."""
    return _resnet110(channels, classes, DropoutShortcut)
