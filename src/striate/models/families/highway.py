"""Highway networks: each layer learns how much of its input to change, and how much to let through.

Srivastava, Greff and Schmidhuber, "Highway networks", 2015, arXiv:1505.00387, section 2 and table 1; in full as
"Training very deep networks", NIPS 2015, arXiv:1507.06228.

    y = H(x) · T(x) + x · (1 - T(x))         eq. 3; T is a sigmoid, its bias starts below zero: at first all passes

The convolutional forms for CIFAR-10 follow two FitNets (Romero et al., ICLR 2015, arXiv:1412.6550): three stages of one
plain layer, which changes the number of maps, and some highway layers; a max pooling closes the first two stages. For
19 layers everything is taken from the definition that the authors published
(https://github.com/flukeskywalker/highway-networks): 32, 80 and 128 maps, a 1×1 convolution of 100, an average over the
map, dropout of 0.2 before each stage and before the last layer, gates' biases of -2. Of the one with 11 layers the
paper prints the number of parameters, "~236K", and no widths: ours, 16, 32, 64 and 256 in the 1×1 convolution, are
chosen to make it (236,778). First weights are Glorot's, as in that definition (which for its first layer leaves them at
a spread of one, apparently by mistake; not here).
"""

from __future__ import annotations

from collections import OrderedDict

from jaxtyping import Float
from torch import Tensor, nn

from striate.layers import Add, GlobalAveragePool, xavier_
from striate.models._zoo import Network, register_family


class Highway(nn.Module):
    """A 3×3 convolution with a ReLU, and a gate for each of its values that mixes it with the input."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.transform = nn.Conv2d(width, width, 3, padding=1)
        self.relu = nn.ReLU()
        self.gate = nn.Conv2d(width, width, 3, padding=1)
        self.sigmoid = nn.Sigmoid()
        self.sum = Add()

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        gate = self.sigmoid(self.gate(x))
        return self.sum(self.relu(self.transform(x)) * gate, x * (1 - gate))


class HighwayNetwork(Network):
    """Three stages, `widths` their maps and `highways` their highway layers, and `last` maps before the average.

    Raises:
        EmptyMapError: the images have a side of less than 4 pixels.
    """

    head = "fc"

    def __init__(
        self, channels: int, classes: int, widths: tuple[int, int, int], highways: tuple[int, int, int], last: int
    ) -> None:
        super().__init__()
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        self.feature_maps, inputs, number = {}, channels, 0
        for stage, (width, count) in enumerate(zip(widths, highways, strict=True), start=1):
            if stage > 1:
                layers[f"pool{stage - 1}"] = nn.MaxPool2d(2)
            number += 1
            layers[f"drop{stage}"] = nn.Dropout(0.2)
            layers[f"conv{number}"] = nn.Conv2d(inputs, width, 3, padding=1)
            layers[f"relu{number}"] = nn.ReLU()
            inputs = width
            for _ in range(count):
                number += 1
                layers[f"highway{number}"] = Highway(width)
            self.feature_maps[f"stage{stage}"] = f"features.highway{number}.sum"
        number += 1
        layers[f"conv{number}"] = nn.Conv2d(inputs, last, 1)
        layers[f"relu{number}"] = nn.ReLU()
        self.features = nn.Sequential(layers)
        self.pool = GlobalAveragePool()
        self.drop = nn.Dropout(0.2)
        self.fc = nn.Linear(last, classes)
        xavier_(self)
        for layer in self.features:
            if isinstance(layer, Highway):
                nn.init.constant_(layer.gate.get_parameter("bias"), -2.0)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k"]:
        return self.fc(self.drop(self.pool(self.features(x))))


VARIANTS = {
    "highway11": dict(widths=(16, 32, 64), highways=(2, 2, 2), last=256),
    "highway19": dict(widths=(32, 80, 128), highways=(4, 5, 5), last=100),
}
register_family("highway", HighwayNetwork, VARIANTS)
