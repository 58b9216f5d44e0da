"""AlexNet in one column, the form that most libraries ship.

Krizhevsky, "One weird trick for parallelizing convolutional neural networks", 2014, arXiv:1404.5997. The author's own
description of that network (cuda-convnet2, layers-imagenet-1gpu) has 64, 192, 384, 256 and 256 filters.

What is known by this name today, torchvision's above all, leaves out the two response normalisations, pads the first
convolution by two pixels, so that 224×224 gives 55×55 positions, and drops units out before the two hidden fully
connected layers instead of after them; so does this one. The first weights are He's, without the biases of one that
the author's description gives to most layers; its spread of 0.01 in the last layer is kept.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Mapping

from jaxtyping import Float
from torch import Tensor, nn

from striate.layers import he_, normal_
from striate.models._zoo import Network, register_family
from striate.tracing import output_shape


class AlexNet(Network):
    """Five convolutions with overlapping pooling and three fully connected layers.

    Raises:
        EmptyMapError: the images have a side of less than 63 pixels.
    """

    feature_maps: Mapping[str, str] = {
        "stage1": "features.relu1",
        "stage2": "features.relu2",
        "stage3": "features.relu5",
    }
    head = "fc8"

    def __init__(self, channels: int, size: tuple[int, int], classes: int) -> None:
        super().__init__()
        self.features = nn.Sequential(
            OrderedDict(
                conv1=nn.Conv2d(channels, 64, 11, stride=4, padding=2),
                relu1=nn.ReLU(),
                pool1=nn.MaxPool2d(3, 2),
                conv2=nn.Conv2d(64, 192, 5, padding=2),
                relu2=nn.ReLU(),
                pool2=nn.MaxPool2d(3, 2),
                conv3=nn.Conv2d(192, 384, 3, padding=1),
                relu3=nn.ReLU(),
                conv4=nn.Conv2d(384, 256, 3, padding=1),
                relu4=nn.ReLU(),
                conv5=nn.Conv2d(256, 256, 3, padding=1),
                relu5=nn.ReLU(),
                pool5=nn.MaxPool2d(3, 2),
            )
        )
        self.flatten = nn.Flatten()
        self.drop5 = nn.Dropout(0.5)
        self.fc6 = nn.Linear(math.prod(output_shape(self.features, (channels, *size))), 4096)
        self.relu6 = nn.ReLU()
        self.drop6 = nn.Dropout(0.5)
        self.fc7 = nn.Linear(4096, 4096)
        self.relu7 = nn.ReLU()
        self.fc8 = nn.Linear(4096, classes)
        he_(self)
        normal_(self.fc8, std=0.01)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k"]:
        x = self.flatten(self.features(x))
        x = self.relu6(self.fc6(self.drop5(x)))
        x = self.relu7(self.fc7(self.drop6(x)))
        return self.fc8(x)


register_family("alexnet", AlexNet, {"alexnet": {}})
