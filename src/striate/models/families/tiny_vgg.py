"""Tiny VGG: the network that CNN Explainer shows.

Wang, Turko, Shaikh, Park, Das, Hohman, Kahng and Chau, "CNN Explainer: learning convolutional neural networks with
interactive visualization", IEEE Transactions on Visualization and Computer Graphics 27(2), 2021, arXiv:2004.15004. Its
form follows the CIFAR-10 demonstration of Stanford's CS231n and, in its stacked 3×3 kernels, VGG (arXiv:1409.1556).

Convolutions are not padded: 64×64 becomes 62, 60, pooled 30, 28, 26, pooled 13. Initial weights are Xavier's, as in
the original. The original's closing softmax is left to the loss: outputs are logits.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Mapping

from jaxtyping import Float
from torch import Tensor, nn

from striate.layers import xavier_
from striate.models._zoo import Network, register_family
from striate.tracing import output_shape


class TinyVGG(Network):
    """Two blocks of two 3×3 convolutions of 10 filters and a pooling, then one fully connected layer.

    Raises:
        EmptyMapError: the images have a side of less than 16 pixels.
    """

    feature_maps: Mapping[str, str] = {"stage1": "features.relu1_2", "stage2": "features.relu2_2"}
    head = "fc"

    def __init__(self, channels: int, size: tuple[int, int], classes: int) -> None:
        super().__init__()
        self.features = nn.Sequential(
            OrderedDict(
                conv1_1=nn.Conv2d(channels, 10, 3),
                relu1_1=nn.ReLU(),
                conv1_2=nn.Conv2d(10, 10, 3),
                relu1_2=nn.ReLU(),
                pool1=nn.MaxPool2d(2),
                conv2_1=nn.Conv2d(10, 10, 3),
                relu2_1=nn.ReLU(),
                conv2_2=nn.Conv2d(10, 10, 3),
                relu2_2=nn.ReLU(),
                pool2=nn.MaxPool2d(2),
            )
        )
        self.flatten = nn.Flatten()
        self.fc = nn.Linear(math.prod(output_shape(self.features, (channels, *size))), classes)
        xavier_(self)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k"]:
        return self.fc(self.flatten(self.features(x)))


register_family("tiny_vgg", TinyVGG, {"tiny_vgg": {}})
