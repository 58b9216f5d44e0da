"""The classifier 32-64-1024 with which TensorFlow's tutorials taught convolutional networks.

"Deep MNIST for experts", TensorFlow tutorial, 2015 (later "A guide to TF layers"): two 5×5 convolutions of 32 and 64
filters that keep the size, each with a 2×2 max pooling, a fully connected layer of 1024 units with dropout, and one for
the classes. 28×28 digits give 3,274,634 parameters.

The tutorial's first weights have a spread of 0.1, whatever the fan-in, and its first biases are 0.1; with them the
first logits are far apart. Here they are He's.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Mapping

from jaxtyping import Float
from torch import Tensor, nn

from striate.layers import he_, xavier_
from striate.models._zoo import Network, register_family
from striate.tracing import output_shape


class DeepMNIST(Network):
    """Two convolutions with pooling, then two fully connected layers.

    Raises:
        EmptyMapError: the images have a side of less than 4 pixels.
    """

    feature_maps: Mapping[str, str] = {"stage1": "features.relu1", "stage2": "features.relu2"}
    head = "fc2"

    def __init__(self, channels: int, size: tuple[int, int], classes: int) -> None:
        super().__init__()
        self.features = nn.Sequential(
            OrderedDict(
                conv1=nn.Conv2d(channels, 32, 5, padding=2),
                relu1=nn.ReLU(),
                pool1=nn.MaxPool2d(2),
                conv2=nn.Conv2d(32, 64, 5, padding=2),
                relu2=nn.ReLU(),
                pool2=nn.MaxPool2d(2),
            )
        )
        self.flatten = nn.Flatten()
        self.fc1 = nn.Linear(math.prod(output_shape(self.features, (channels, *size))), 1024)
        self.relu3 = nn.ReLU()
        self.drop = nn.Dropout(0.5)
        self.fc2 = nn.Linear(1024, classes)
        he_(self)
        xavier_(self.fc2)  # no ReLU follows it

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k"]:
        x = self.flatten(self.features(x))
        return self.fc2(self.drop(self.relu3(self.fc1(x))))


register_family("deep_mnist", DeepMNIST, {"deep_mnist": {}})
