"""The multilayer perceptron: a network in which every unit sees every pixel, and neighbours mean nothing.

LeCun, Bottou, Bengio and Haffner, "Gradient-based learning applied to document recognition", Proceedings of the IEEE
86(11), 1998, section III-C.5: two hidden layers of 300 and 100 units (28×28-300-100-10).

Differences from the paper, as is usual today: ReLU for tanh, logits for squared-error outputs, He's initial weights.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from jaxtyping import Float
from torch import Tensor, nn

from striate.layers import he_, xavier_
from striate.models._zoo import Network, register_family


class MLP(Network):
    """Three fully connected layers. It has no maps: its hidden units have no place in the image."""

    feature_maps: Mapping[str, str] = {}
    head = "fc3"

    def __init__(self, channels: int, size: tuple[int, int], classes: int) -> None:
        super().__init__()
        self.flatten = nn.Flatten()
        self.fc1 = nn.Linear(channels * math.prod(size), 300)
        self.relu1 = nn.ReLU()
        self.fc2 = nn.Linear(300, 100)
        self.relu2 = nn.ReLU()
        self.fc3 = nn.Linear(100, classes)
        he_(self)
        xavier_(self.fc3)  # no ReLU follows it

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k"]:
        x = self.relu1(self.fc1(self.flatten(x)))
        x = self.relu2(self.fc2(x))
        return self.fc3(x)


register_family("mlp", MLP, {"mlp": {}})
