"""LeNet-5 in its usual modern form.

LeCun, Bottou, Bengio and Haffner, "Gradient-based learning applied to document recognition", Proceedings of the IEEE
86(11), 1998, section II-B and figure 2.

The paper's sizes (5×5 kernels, 6 and 16 maps, 120 and 84 units) with what has become usual since: ReLU for scaled tanh,
max pooling for trainable subsampling, every map of the second layer connected to all of the first, logits for distances
to bitmaps. C5, a convolution over the whole 5×5 map in the paper, is written as the fully connected layer that it is.

The paper centres MNIST's 28×28 digits in 32×32. People expect both sizes to give the same network, so a side of less
than 32 pixels is padded by two zeros at both ends in the first convolution, a side of 32 or more is taken as it is: 28
to 32 pixels all end in 5×5 maps and, for one channel and ten classes, 61,706 parameters. `lenet5_1998` is the paper's
own form; `lenet5_rgb` is what courses make of it for colour images of 32×32, with 8 filters in the first layer.
"""

from __future__ import annotations

import math
from collections import OrderedDict

from jaxtyping import Float
from torch import Tensor, nn

from striate.layers import he_, xavier_
from striate.models._zoo import Network, register_family
from striate.tracing import output_shape

_PAPER_SIDE = 32


class LeNet5(Network):
    """Two convolutions with pooling, then three fully connected layers (C1, S2, C3, S4, C5, F6 and output there).

    `filters` are those of the first convolution.

    Raises:
        EmptyMapError: the images have a side of less than 12 pixels.
    """

    head = "fc3"

    def __init__(self, channels: int, size: tuple[int, int], classes: int, filters: int = 6) -> None:
        super().__init__()
        height, width = (2 if side < _PAPER_SIDE else 0 for side in size)
        self.features = nn.Sequential(
            OrderedDict(
                conv1=nn.Conv2d(channels, filters, 5, padding=(height, width)),
                relu1=nn.ReLU(),
                pool1=nn.MaxPool2d(2),
                conv2=nn.Conv2d(filters, 16, 5),
                relu2=nn.ReLU(),
                pool2=nn.MaxPool2d(2),
            )
        )
        self.flatten = nn.Flatten()
        self.fc1 = nn.Linear(math.prod(output_shape(self.features, (channels, *size))), 120)
        self.relu3 = nn.ReLU()
        self.fc2 = nn.Linear(120, 84)
        self.relu4 = nn.ReLU()
        self.fc3 = nn.Linear(84, classes)
        he_(self)
        xavier_(self.fc3)  # no ReLU follows it
        self.feature_maps = {
            "stage1": "features.relu1",
            "stage2": "features.relu2",
        }

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k"]:
        x = self.flatten(self.features(x))
        x = self.relu3(self.fc1(x))
        x = self.relu4(self.fc2(x))
        return self.fc3(x)


VARIANTS = {
    "lenet5": {},
    "lenet5_rgb": dict(filters=8),
}
register_family("lenet5", LeNet5, VARIANTS)
