"""The book's dogs-and-cats network: what 2000 photos can teach a network that starts from nothing.

Chollet, "Deep learning with Python", Manning, 2017, section 5.2.3: unpadded 3×3 convolutions of 32, 64, 128 and 128
filters, each with a 2×2 max pooling, and a fully connected layer of 512 units, for photos of 150×150. (The book adds
dropout after the last pooling later on, in section 5.2.5.)

The book's network ends in one sigmoid unit and has 3,453,121 parameters; here the last layer has a logit for each
class, two of them for dogs and cats, which is 513 parameters more. First weights are Glorot's, as Keras's are.
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


class DogsAndCats2017(Network):
    """Four convolutions with pooling, then two fully connected layers.

    Raises:
        EmptyMapError: the images have a side of less than 46 pixels.
    """

    feature_maps: Mapping[str, str] = {
        "stage1": "features.relu1",
        "stage2": "features.relu2",
        "stage3": "features.relu3",
        "stage4": "features.relu4",
    }
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
                conv3=nn.Conv2d(64, 128, 3),
                relu3=nn.ReLU(),
                pool3=nn.MaxPool2d(2),
                conv4=nn.Conv2d(128, 128, 3),
                relu4=nn.ReLU(),
                pool4=nn.MaxPool2d(2),
            )
        )
        self.flatten = nn.Flatten()
        self.fc1 = nn.Linear(math.prod(output_shape(self.features, (channels, *size))), 512)
        self.relu5 = nn.ReLU()
        self.fc2 = nn.Linear(512, classes)
        xavier_(self)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k"]:
        x = self.flatten(self.features(x))
        return self.fc2(self.relu5(self.fc1(x)))


register_family("dogs_and_cats", DogsAndCats2017, {"dogs_and_cats_2017": {}})
