"""Network in network: small fully connected networks that slide, and an average for each class at the end.

Lin, Chen and Yan, "Network in network", ICLR 2014, arXiv:1312.4400: section 3.1 for the layers, 3.2 for the closing
average, figure 2 for the whole.

A filter followed by two 1×1 convolutions is a network of three layers that looks at each window ("mlpconv"). The last
one has a map for each class; a class's logit is the mean of its map, so that no fully connected layer is needed.

The paper leaves the numbers of filters to its supplement. They are, as are the kernels, the second pooling of the
CIFAR-10 form (an average) and the first weights, those of the definitions that the authors published for Caffe, for
CIFAR-10 and for ImageNet. Poolings let their last window hang over the end, as Caffe does; a ReLU follows the last
layer too, so that no logit is negative. That layer's biases start at one, not at zero as there: a class whose map the
ReLU shut for all images at the start would never learn.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping

from jaxtyping import Float
from torch import Tensor, nn

from striate.layers import GlobalAveragePool, normal_
from striate.models._zoo import Network, register_family


class MLPConv(nn.Sequential):
    """A convolution and two 1×1 convolutions, `widths` their filters, each with its ReLU (section 3.1, eq. 2)."""

    def __init__(
        self, inputs: int, widths: tuple[int, int, int], kernel: int, stride: int = 1, padding: int = 0
    ) -> None:
        first, second, third = widths
        super().__init__(
            OrderedDict(
                conv=nn.Conv2d(inputs, first, kernel, stride, padding),
                relu1=nn.ReLU(),
                mlp1=nn.Conv2d(first, second, 1),
                relu2=nn.ReLU(),
                mlp2=nn.Conv2d(second, third, 1),
                relu3=nn.ReLU(),
            )
        )


class NIN(Network):
    """Layers that end in one map for each class, and their averages."""

    def __init__(self, features: nn.Sequential, feature_maps: Mapping[str, str], head: str) -> None:
        super().__init__()
        self.features = features
        self.pool = GlobalAveragePool()
        self.feature_maps = feature_maps
        self.head = head
        normal_(self, std=0.05)
        nn.init.ones_(self.get_parameter(f"{head}.bias"))

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k"]:
        return self.pool(self.features(x))


def nin(channels: int, classes: int) -> Network:
    """Build the form for CIFAR-10."""
    features = nn.Sequential(
        OrderedDict(
            mlpconv1=MLPConv(channels, (192, 160, 96), 5, padding=2),
            pool1=nn.MaxPool2d(3, 2, ceil_mode=True),
            drop1=nn.Dropout(0.5),
            mlpconv2=MLPConv(96, (192, 192, 192), 5, padding=2),
            pool2=nn.AvgPool2d(3, 2, ceil_mode=True),
            drop2=nn.Dropout(0.5),
            mlpconv3=MLPConv(192, (192, 192, classes), 3, padding=1),
        )
    )
    maps = {
        "stage1": "features.mlpconv1.relu3",
        "stage2": "features.mlpconv2.relu3",
        "stage3": "features.mlpconv3.relu2",
    }
    return NIN(features, maps, head="features.mlpconv3.mlp2")


def nin_imagenet(channels: int, classes: int) -> Network:
    """Build the form for ImageNet."""
    features = nn.Sequential(
        OrderedDict(
            mlpconv1=MLPConv(channels, (96, 96, 96), 11, stride=4),
            pool1=nn.MaxPool2d(3, 2, ceil_mode=True),
            mlpconv2=MLPConv(96, (256, 256, 256), 5, padding=2),
            pool2=nn.MaxPool2d(3, 2, ceil_mode=True),
            mlpconv3=MLPConv(256, (384, 384, 384), 3, padding=1),
            pool3=nn.MaxPool2d(3, 2, ceil_mode=True),
            drop3=nn.Dropout(0.5),
            mlpconv4=MLPConv(384, (1024, 1024, classes), 3, padding=1),
        )
    )
    maps = {
        "stage1": "features.mlpconv1.relu3",
        "stage2": "features.mlpconv2.relu3",
        "stage3": "features.mlpconv3.relu3",
        "stage4": "features.mlpconv4.relu2",
    }
    network = NIN(features, maps, head="features.mlpconv4.mlp2")
    for path in ("features.mlpconv1.conv", "features.mlpconv3.conv", network.head):
        normal_(network.get_submodule(path), std=0.01)
    nn.init.ones_(network.get_parameter(f"{network.head}.bias"))
    return network


register_family("nin", nin, {"nin": {}})
register_family("nin", nin_imagenet, {"nin_imagenet": {}})
