"""The courses' classifier 32-64-1024 for 28×28 digits: unpadded 3×3 convolutions.

After LeCun, Bottou, Bengio and Haffner, "Gradient-based learning applied to document recognition", Proceedings of the
IEEE 86(11), 1998: two unpadded 3×3 convolutions of 32 and 64 filters with ReLU, each with a 2×2 max pooling, a fully
connected layer of 1024 units and one for the classes. 28×28 digits give 1,668,490 parameters, half as many as the 5×5
kernels and padding of TensorFlow's tutorial (`deep_mnist`) do. First weights are He's.
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


class MNISTCNN(Network):
    """Two convolutions with pooling, then two fully connected layers.

    Raises:
        EmptyMapError: the images have a side of less than 10 pixels.
    """

    feature_maps: Mapping[str, str] = {"stage1": "features.relu1", "stage2": "features.relu2"}
    head = "fc2"

    def __init__(self, channels: int, size: tuple[int, int], classes: int) -> None:
        super().__init__()
        self.features = nn.Sequential(
            OrderedDict(
                conv1=nn.Conv2d(channels, 32, 3),
                relu1=nn.ReLU(),
                pool1=nn.MaxPool2d(2),
                conv2=nn.Conv2d(32, 64, 3),
                relu2=nn.ReLU(),
                pool2=nn.MaxPool2d(2),
            )
        )
        self.flatten = nn.Flatten()
        self.fc1 = nn.Linear(math.prod(output_shape(self.features, (channels, *size))), 1024)
        self.relu3 = nn.ReLU()
        self.fc2 = nn.Linear(1024, classes)
        he_(self)
        xavier_(self.fc2)  # no ReLU follows it

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k"]:
        x = self.flatten(self.features(x))
        return self.fc2(self.relu3(self.fc1(x)))


register_family("mnist_cnn", MNISTCNN, {"mnist_cnn": {}})
