"""The dogs-and-cats networks: small networks to train from scratch on 2000 photos.

`dogs_and_cats_2017` is that of Chollet, "Deep learning with Python", Manning, 2017, section 5.2.3: unpadded 3×3
convolutions of 32, 64, 128 and 128 filters, each with a 2×2 max pooling, and a fully connected layer of 512 units, for
photos of 150×150. (The book adds dropout after the last pooling later on, in section 5.2.5.) `dogs_and_cats` is the
courses' variant: its convolutions keep the size, and it has dropout of 0.5 and another layer of 128 units.

The originals end in one sigmoid unit. Here the last layer has a logit for each class, two of them for dogs and cats:
513 parameters more than the book's 3,453,121, and 129 more than the courses' 5,615,553. First weights are Glorot's, as
Keras's are.
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

_STAGES: Mapping[str, str] = {f"stage{number}": f"features.relu{number}" for number in (1, 2, 3, 4)}


def _features(channels: int, *, padding: int) -> nn.Sequential:
    """Return four convolutions, each with its pooling."""
    return nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(channels, 32, 3, padding=padding),
            relu1=nn.ReLU(),
            pool1=nn.MaxPool2d(2),
            conv2=nn.Conv2d(32, 64, 3, padding=padding),
            relu2=nn.ReLU(),
            pool2=nn.MaxPool2d(2),
            conv3=nn.Conv2d(64, 128, 3, padding=padding),
            relu3=nn.ReLU(),
            pool3=nn.MaxPool2d(2),
            conv4=nn.Conv2d(128, 128, 3, padding=padding),
            relu4=nn.ReLU(),
            pool4=nn.MaxPool2d(2),
        )
    )


class DogsAndCats(Network):
    """Four padded convolutions with pooling, dropout, then three fully connected layers.

    Raises:
        EmptyMapError: the images have a side of less than 16 pixels.
    """

    feature_maps = _STAGES
    head = "fc3"

    def __init__(self, channels: int, size: tuple[int, int], classes: int) -> None:
        super().__init__()
        self.features = _features(channels, padding=1)
        self.flatten = nn.Flatten()
        self.drop = nn.Dropout(0.5)
        self.fc1 = nn.Linear(math.prod(output_shape(self.features, (channels, *size))), 512)
        self.relu5 = nn.ReLU()
        self.fc2 = nn.Linear(512, 128)
        self.relu6 = nn.ReLU()
        self.fc3 = nn.Linear(128, classes)
        xavier_(self)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k"]:
        x = self.drop(self.flatten(self.features(x)))
        x = self.relu6(self.fc2(self.relu5(self.fc1(x))))
        return self.fc3(x)


class DogsAndCats2017(Network):
    """Four convolutions without padding, with pooling, then two fully connected layers.

    Raises:
        EmptyMapError: the images have a side of less than 46 pixels.
    """

    feature_maps = _STAGES
    head = "fc2"

    def __init__(self, channels: int, size: tuple[int, int], classes: int) -> None:
        super().__init__()
        self.features = _features(channels, padding=0)
        self.flatten = nn.Flatten()
        self.fc1 = nn.Linear(math.prod(output_shape(self.features, (channels, *size))), 512)
        self.relu5 = nn.ReLU()
        self.fc2 = nn.Linear(512, classes)
        xavier_(self)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k"]:
        x = self.flatten(self.features(x))
        return self.fc2(self.relu5(self.fc1(x)))


register_family("dogs_and_cats", DogsAndCats, {"dogs_and_cats": {}})
register_family("dogs_and_cats", DogsAndCats2017, {"dogs_and_cats_2017": {}})
