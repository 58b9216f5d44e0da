"""The courses' CIFAR-10 network with bounded weights and dropout.

Brownlee, "Deep learning with Python", Machine Learning Mastery, 2016, chapter "Object recognition in photographs": two
3×3 convolutions of 32 filters that keep the size, with dropout of 0.2 between them, a 2×2 max pooling, and fully
connected layers of 512 units, with dropout of 0.5, and of one for each class. All but the last keep the weights that
come into a unit at a norm of at most 3 (Srivastava et al., JMLR 15, 2014, section 5.1). 32×32×3 images give
4,210,090 parameters, most of them in the layer of 512 units.

There the bound is Keras's `max_norm(3)`, whose default bounds each column of a kernel of its own; here it is the whole
filter, as in the paper on dropout. First weights are Glorot's, as Keras's are.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Mapping

from jaxtyping import Float
from torch import Tensor, nn

from striate.layers import MaxNormConv2d, MaxNormLinear, xavier_
from striate.models._zoo import Network, register_family
from striate.tracing import output_shape


class CIFAR10MaxNorm(Network):
    """Two convolutions, one pooling, two fully connected layers.

    Raises:
        EmptyMapError: the images have a side of one pixel.
    """

    feature_maps: Mapping[str, str] = {"stage1": "features.relu2"}
    head = "fc2"

    def __init__(self, channels: int, size: tuple[int, int], classes: int) -> None:
        super().__init__()
        self.features = nn.Sequential(
            OrderedDict(
                conv1=MaxNormConv2d(channels, 32, 3, padding=1, max_norm=3.0),
                relu1=nn.ReLU(),
                drop1=nn.Dropout(0.2),
                conv2=MaxNormConv2d(32, 32, 3, padding=1, max_norm=3.0),
                relu2=nn.ReLU(),
                pool=nn.MaxPool2d(2),
            )
        )
        self.flatten = nn.Flatten()
        self.fc1 = MaxNormLinear(math.prod(output_shape(self.features, (channels, *size))), 512, max_norm=3.0)
        self.relu3 = nn.ReLU()
        self.drop3 = nn.Dropout(0.5)
        self.fc2 = nn.Linear(512, classes)
        xavier_(self)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k"]:
        x = self.flatten(self.features(x))
        return self.fc2(self.drop3(self.relu3(self.fc1(x))))


register_family("cifar10_maxnorm", CIFAR10MaxNorm, {"cifar10_maxnorm": {}})
