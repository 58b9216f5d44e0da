"""SqueezeNet: AlexNet's accuracy with a fiftieth of its parameters.

Iandola, Han, Moskewicz, Ashraf, Dally and Keutzer, "SqueezeNet: AlexNet-level accuracy with 50x fewer parameters and
<0.5MB model size", 2016, arXiv:1602.07360: section 3 and table 1. Version 1.1, which computes 2.4 times less for the
same accuracy, is described by the authors together with their weights (https://github.com/forresti/SqueezeNet).

A Fire module squeezes its input into few maps with 1×1 filters and expands those with 1×1 and with 3×3 filters, side
by side. The network ends in a map for each class, of which the average is taken; a ReLU comes before it.

The first weights are those of the authors' definition for Caffe, to which the paper refers: uniform with a variance of
1 / fan-in, and a spread of 0.01 in the last layer. That layer's biases start at one, not at zero as there: a class
whose map the last ReLU shut for all images at the start would never learn.

Table 1 gives 224×224 images and a first map of 111×111, which are 227×227 images; with 224 it is 109×109. Poolings
let their last window hang over the end, as Caffe does.
"""

from __future__ import annotations

from collections import OrderedDict

from jaxtyping import Float
from torch import Tensor, nn

from striate.layers import Concat, GlobalAveragePool, normal_
from striate.models._zoo import Network, register_family

# Table 1, the same in both versions: maps between the layers of fire2 to fire9, and filters of each kind after them.
_FIRES = ((16, 64), (16, 64), (32, 128), (32, 128), (48, 192), (48, 192), (64, 256), (64, 256))


class Fire(nn.Module):
    """1×1 filters into `squeezed` maps, then `expanded` 1×1 and as many 3×3 filters, concatenated (figure 1)."""

    def __init__(self, inputs: int, squeezed: int, expanded: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(inputs, squeezed, 1)
        self.relu1 = nn.ReLU()
        self.expand1x1 = nn.Conv2d(squeezed, expanded, 1)
        self.relu2 = nn.ReLU()
        self.expand3x3 = nn.Conv2d(squeezed, expanded, 3, padding=1)
        self.relu3 = nn.ReLU()
        self.join = Concat()

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n m h w"]:
        x = self.relu1(self.squeeze(x))
        return self.join(self.relu2(self.expand1x1(x)), self.relu3(self.expand3x3(x)))


class SqueezeNet(Network):
    """A convolution of `filters` filters, eight Fire modules with poolings after those in `pooled`, a 1×1 convolution.

    Raises:
        EmptyMapError: the images are too small for the poolings: 21 pixels for version 1.0, 17 for 1.1.
    """

    head = "conv10"

    def __init__(self, channels: int, classes: int, filters: int, kernel: int, pooled: tuple[int, ...]) -> None:
        super().__init__()
        layers: OrderedDict[str, nn.Module] = OrderedDict(
            conv1=nn.Conv2d(channels, filters, kernel, stride=2),
            relu1=nn.ReLU(),
            pool1=nn.MaxPool2d(3, 2, ceil_mode=True),
        )
        self.feature_maps, inputs = {"stage1": "features.relu1"}, filters
        for number, (squeezed, expanded) in enumerate(_FIRES, start=2):
            layers[f"fire{number}"] = Fire(inputs, squeezed, expanded)
            inputs = 2 * expanded
            if number in (*pooled, 9):
                self.feature_maps[f"stage{len(self.feature_maps) + 1}"] = f"features.fire{number}.join"
            if number in pooled:
                layers[f"pool{number}"] = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.features = nn.Sequential(layers)
        self.drop9 = nn.Dropout(0.5)
        self.conv10 = nn.Conv2d(inputs, classes, 1)
        self.relu10 = nn.ReLU()
        self.pool10 = GlobalAveragePool()
        _initialise_(self)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k"]:
        x = self.drop9(self.features(x))
        return self.pool10(self.relu10(self.conv10(x)))


def _initialise_(network: SqueezeNet) -> None:
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d) and layer.bias is not None and not layer.weight.is_meta:
            nn.init.kaiming_uniform_(layer.weight, nonlinearity="linear")  # a variance of 1 / fan-in
            nn.init.zeros_(layer.bias)
    normal_(network.conv10, std=0.01)
    nn.init.ones_(network.get_parameter("conv10.bias"))


VARIANTS = {
    "squeezenet1_0": dict(filters=96, kernel=7, pooled=(4, 8)),
    "squeezenet1_1": dict(filters=64, kernel=3, pooled=(3, 5)),
}
register_family("squeezenet", SqueezeNet, VARIANTS)
