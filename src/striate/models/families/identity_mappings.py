"""ResNet-110 with shortcuts other than the identity: five forms, all worse.

He, Zhang, Ren and Sun, "Identity mappings in deep residual networks", ECCV 2016, arXiv:1603.05027, section 3.1, figure
2 and table 1, on CIFAR-10. Each block is the original one except for its sum:

    original              relu(F + x)               6.61 % wrong: `resnet110`, in `resnet_cifar`
    constant scaling      relu(F / 2 + x / 2)       12.35 %
    exclusive gating      relu(g F + (1 - g) x)     8.70 %
    shortcut-only gating  relu(F + (1 - g) x)       6.91 %, the gates almost shut at first; 12.86 % if half open
    1×1 convolution       relu(F + W x)             12.22 %
    dropout               relu(F + dropout(x))      fails: above 20 %

with the gate g = sigmoid(W x + b), a 1×1 convolution that gives a number for each value of the map, and b = -6 at first
(the best of the biases tried). What the paper found better than the original, pre-activation, is in `resnet_v2`.

The paper does not describe the two blocks that change the map's shape. Here x is then option A's shortcut, and the 1×1
convolutions move by the block's stride. Batch norm follows the 1×1 shortcut (the figure's caption: after every
convolution), but not the gates' convolution, whose bias it would remove.
"""

from __future__ import annotations

from collections import OrderedDict

from jaxtyping import Float
from torch import Tensor, nn

from striate.models._stages import MakeBlock
from striate.models._zoo import Network, register_family
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


VARIANTS = {
    "resnet110_scaled": dict(make_block=Scaled),
    "resnet110_exclusive_gates": dict(make_block=ExclusivelyGated),
    "resnet110_shortcut_gates": dict(make_block=ShortcutGated),
    "resnet110_conv_shortcuts": dict(make_block=ConvShortcut),
    "resnet110_dropout_shortcuts": dict(make_block=DropoutShortcut),
}
register_family("identity_mappings", _resnet110, VARIANTS)
