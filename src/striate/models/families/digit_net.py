"""The courses' digit network 6-16-120-100: LeNet-5 with ReLU, max pooling and 100 units, for 32×32 digits.

After LeCun, Bottou, Bengio and Haffner, "Gradient-based learning applied to document recognition", Proceedings of the
IEEE 86(11), 1998: two unpadded 5×5 convolutions of 6 and 16 filters with ReLU and 2×2 max pooling, fully connected
layers of 120 and 100 units: 63,802 parameters for 32×32 digits. In place of the paper's 84, whose number only its
bitmaps of 7×12 pixels explain, courses like to write 100. First weights are He's.
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


class DigitNet(Network):
    """Two convolutions with pooling, then three fully connected layers.

    Raises:
        EmptyMapError: the images have a side of less than 16 pixels.
    """

    feature_maps: Mapping[str, str] = {"stage1": "features.relu1", "stage2": "features.relu2"}
    head = "fc3"

    def __init__(self, channels: int, size: tuple[int, int], classes: int) -> None:
        super().__init__()
        self.features = nn.Sequential(
            OrderedDict(
                conv1=nn.Conv2d(channels, 6, 5),
                relu1=nn.ReLU(),
                pool1=nn.MaxPool2d(2),
                conv2=nn.Conv2d(6, 16, 5),
                relu2=nn.ReLU(),
                pool2=nn.MaxPool2d(2),
            )
        )
        self.flatten = nn.Flatten()
        self.fc1 = nn.Linear(math.prod(output_shape(self.features, (channels, *size))), 120)
        self.relu3 = nn.ReLU()
        self.fc2 = nn.Linear(120, 100)
        self.relu4 = nn.ReLU()
        self.fc3 = nn.Linear(100, classes)
        he_(self)
        xavier_(self.fc3)  # no ReLU follows it

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k"]:
        x = self.flatten(self.features(x))
        x = self.relu3(self.fc1(x))
        x = self.relu4(self.fc2(x))
        return self.fc3(x)


register_family("digit_net", DigitNet, {"digit_net": {}})
