"""ZFNet: AlexNet, improved by looking inside it.

Zeiler and Fergus, "Visualizing and understanding convolutional networks", ECCV 2014, arXiv:1311.2901: figure 3 and
section 3.1 for the network, table 2 for its results and the wider form.

Images of AlexNet's first two layers showed filters of very high and very low frequency and aliasing: hence smaller
kernels (7×7) and a smaller stride (2) at the start, and no columns.

    224 → conv 7×7/2 110 → pool 3×3/2 55 → conv 5×5/2 26 → pool 13 → conv 13 → conv 13 → conv 13 → pool 6

The paper prints these sizes and no padding. One pixel in the first convolution, none in the second and poolings whose
last window may hang over the end give all of them. It does not give response normalisation's constants either: they
are AlexNet's. In training, a filter whose root mean square exceeds 0.1 is scaled back to that (section 3.1), which is
a largest norm of 0.1 √n for a filter of n weights.
"""

from __future__ import annotations

import math
from collections import OrderedDict

from jaxtyping import Float
from torch import Tensor, nn

from striate.layers import LocalResponseNorm, MaxNormConv2d, normal_
from striate.models._zoo import Network, register_family
from striate.tracing import output_shape


class ZFNet(Network):
    """Five convolutions, `widths` the filters of the last three, and three fully connected layers.

    Raises:
        EmptyMapError: the images have a side of less than 47 pixels.
    """

    head = "fc8"

    def __init__(
        self, channels: int, size: tuple[int, int], classes: int, widths: tuple[int, int, int] = (384, 384, 256)
    ) -> None:
        super().__init__()
        third, fourth, fifth = widths
        self.features = nn.Sequential(
            OrderedDict(
                conv1=_convolution(channels, 96, 7, stride=2, padding=1),
                relu1=nn.ReLU(),
                pool1=nn.MaxPool2d(3, 2, ceil_mode=True),
                norm1=LocalResponseNorm(),
                conv2=_convolution(96, 256, 5, stride=2),
                relu2=nn.ReLU(),
                pool2=nn.MaxPool2d(3, 2, ceil_mode=True),
                norm2=LocalResponseNorm(),
                conv3=_convolution(256, third, 3, padding=1),
                relu3=nn.ReLU(),
                conv4=_convolution(third, fourth, 3, padding=1),
                relu4=nn.ReLU(),
                conv5=_convolution(fourth, fifth, 3, padding=1),
                relu5=nn.ReLU(),
                pool5=nn.MaxPool2d(3, 2, ceil_mode=True),
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
        normal_(self, std=0.01)  # "all weights are initialized to 10⁻²": read as the spread, as in AlexNet
        self.feature_maps = {
            "stage1": "features.relu1",
            "stage2": "features.relu2",
            "stage3": "features.relu5",
        }

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k"]:
        x = self.flatten(self.features(x))
        x = self.drop6(self.relu6(self.fc6(x)))
        x = self.drop7(self.relu7(self.fc7(x)))
        return self.fc8(x)


def _convolution(inputs: int, outputs: int, kernel: int, stride: int = 1, padding: int = 0) -> MaxNormConv2d:
    largest = 0.1 * math.sqrt(inputs * kernel**2)
    return MaxNormConv2d(inputs, outputs, kernel, stride, padding, max_norm=largest)


VARIANTS = {
    "zfnet": {},
    "zfnet_wide": dict(widths=(512, 1024, 512)),
}
register_family("zfnet", ZFNet, VARIANTS)
