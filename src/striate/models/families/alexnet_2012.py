"""AlexNet as it won in 2012: two columns, one on each of two graphics cards.

Krizhevsky, Sutskever and Hinton, "ImageNet classification with deep convolutional neural networks", NIPS 2012: section
3 and figure 2; section 4.2 for dropout, section 5 for the first weights.

Each column has half of the filters. The second, fourth and fifth convolutions see only the maps of their own column,
the third and the fully connected layers see both: here, convolutions in two groups. Response normalisation, too, stays
inside a column, as it must where the cards exchange nothing between (the paper's formula sums over "adjacent" maps
and does not mention columns; most later copies sum across the seam, which changes four maps of each normalisation).

Figure 2 gives images of 224×224, into which 11×11 with a stride of 4 fits 54.25 times; its 55×55 positions need
227×227, which is the card's input. Nothing is padded in the first convolution.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Mapping

from jaxtyping import Float
from torch import Tensor, nn

from striate.layers import LocalResponseNorm, normal_
from striate.models._zoo import Network, register_family
from striate.tracing import output_shape


class ColumnResponseNorm(LocalResponseNorm):
    """Response normalisation (section 3.3) of the two halves of the channels, each by itself."""

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        n, c, h, w = x.shape
        return super().forward(x.reshape(2 * n, c // 2, h, w)).reshape(n, c, h, w)


class AlexNet2012(Network):
    """Five convolutions in two columns, with overlapping pooling, and three fully connected layers.

    Raises:
        EmptyMapError: the images have a side of less than 67 pixels.
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
                conv1=nn.Conv2d(channels, 96, 11, stride=4),
                relu1=nn.ReLU(),
                norm1=ColumnResponseNorm(),
                pool1=nn.MaxPool2d(3, 2),
                conv2=nn.Conv2d(96, 256, 5, padding=2, groups=2),
                relu2=nn.ReLU(),
                norm2=ColumnResponseNorm(),
                pool2=nn.MaxPool2d(3, 2),
                conv3=nn.Conv2d(256, 384, 3, padding=1),
                relu3=nn.ReLU(),
                conv4=nn.Conv2d(384, 384, 3, padding=1, groups=2),
                relu4=nn.ReLU(),
                conv5=nn.Conv2d(384, 256, 3, padding=1, groups=2),
                relu5=nn.ReLU(),
                pool5=nn.MaxPool2d(3, 2),
            )
        )
        self.flatten = nn.Flatten()
        self.fc6 = nn.Linear(math.prod(output_shape(self.features, (channels, *size))), 4096)
        self.relu6 = nn.ReLU()
        self.drop6 = nn.Dropout(0.5)
        self.fc7 = nn.Linear(4096, 4096)
        self.relu7 = nn.ReLU()
        self.drop7 = nn.Dropout(0.5)
        self.fc8 = nn.Linear(4096, classes)
        normal_(self, std=0.01)
        # A bias of one gives these units something positive to learn from at the start (section 5).
        for path in ("features.conv2", "features.conv4", "features.conv5", "fc6", "fc7"):
            nn.init.ones_(self.get_parameter(f"{path}.bias"))

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k"]:
        x = self.flatten(self.features(x))
        x = self.drop6(self.relu6(self.fc6(x)))
        x = self.drop7(self.relu7(self.fc7(x)))
        return self.fc8(x)


register_family("alexnet_2012", AlexNet2012, {"alexnet_2012": {}})
