"""DenseNet: in a block, each layer reads the maps of all layers before it.

Huang, Liu, van der Maaten and Weinberger, "Densely connected convolutional networks", CVPR 2017, arXiv:1608.06993.

All networks here are DenseNet-BC: a layer is norm, ReLU, 1×1 convolution to 4k maps, norm, ReLU, 3×3 convolution to k
maps (section 3, "bottleneck layers"), and a transition halves the number of maps (θ = 0.5). Table 1 gives the networks
for ImageNet, all with k = 32. The one for CIFAR follows section 3, "implementation details": three blocks of equal
length after a single 3×3 convolution to 2k maps, no pooling. Its depth of 100 counts that convolution, two for each of
the 48 layers, two transitions and the classifier.

First weights are He's (section 4.2); the classifier's are Xavier's, for no ReLU follows it. Dropout of 0.2 after each
convolution is the paper's for data without augmentation only, and is left out.
"""

from __future__ import annotations

from collections import OrderedDict

from jaxtyping import Float
from torch import Tensor, nn

from striate.layers import Concat, GlobalAveragePool, he_, xavier_
from striate.models._zoo import Network, register_family


class DenseLayer(nn.Module):
    """Norm, ReLU and convolution, twice; the `growth` maps that they compute are appended to the input."""

    def __init__(self, inputs: int, growth: int) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(inputs)
        self.relu1 = nn.ReLU()
        self.conv1 = nn.Conv2d(inputs, 4 * growth, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(4 * growth)
        self.relu2 = nn.ReLU()
        self.conv2 = nn.Conv2d(4 * growth, growth, 3, padding=1, bias=False)
        self.concat = Concat()

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k h w"]:
        new = self.conv1(self.relu1(self.norm1(x)))
        new = self.conv2(self.relu2(self.norm2(new)))
        return self.concat(x, new)


def transition(inputs: int) -> nn.Sequential:
    """Half the maps at half the size: norm, ReLU, 1×1 convolution, average pooling."""
    return nn.Sequential(
        OrderedDict(
            norm=nn.BatchNorm2d(inputs),
            relu=nn.ReLU(),
            conv=nn.Conv2d(inputs, inputs // 2, 1, bias=False),
            pool=nn.AvgPool2d(2),
        )
    )


class DenseNet(Network):
    """A stem, dense blocks with transitions between them, the global mean and a classifier.

    `stem` returns `width` channels; `place` is the path of the feature map in it. `layers` counts the layers of each
    block, `growth` is k. A stage's map is taken after the ReLU that follows its block.
    """

    head = "fc"

    def __init__(
        self,
        stem: nn.Sequential,
        place: str,
        *,
        width: int,
        growth: int,
        layers: tuple[int, ...],
        classes: int,
    ) -> None:
        super().__init__()
        self.stem = stem
        self.blocks = nn.Sequential()
        self.feature_maps = {"stem": place}
        for number, count in enumerate(layers, start=1):
            block = nn.Sequential()
            for layer in range(1, count + 1):
                block.add_module(f"layer{layer}", DenseLayer(width, growth))
                width += growth
            self.blocks.add_module(f"block{number}", block)
            if number < len(layers):
                self.blocks.add_module(f"transition{number}", transition(width))
                self.feature_maps[f"stage{number}"] = f"blocks.transition{number}.relu"
                width //= 2
        self.norm = nn.BatchNorm2d(width)
        self.relu = nn.ReLU()
        self.feature_maps[f"stage{len(layers)}"] = "relu"
        self.pool = GlobalAveragePool()
        self.fc = nn.Linear(width, classes)
        he_(self)
        xavier_(self.fc)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k"]:
        x = self.relu(self.norm(self.blocks(self.stem(x))))
        return self.fc(self.pool(x))


def _for_imagenet(channels: int, classes: int, layers: tuple[int, int, int, int]) -> DenseNet:
    """Table 1: 7×7 convolution with stride 2, 3×3 pooling with stride 2, four blocks of k = 32."""
    stem = nn.Sequential(
        OrderedDict(
            conv=nn.Conv2d(channels, 64, 7, 2, padding=3, bias=False),
            norm=nn.BatchNorm2d(64),
            relu=nn.ReLU(),
            pool=nn.MaxPool2d(3, 2, padding=1),
        )
    )
    return DenseNet(stem, "stem.relu", width=64, growth=32, layers=layers, classes=classes)


def _for_cifar(channels: int, classes: int, depth: int, growth: int) -> DenseNet:
    """Section 3, "implementation details": three blocks of (depth - 4) / 6 layers; four are in none of them."""
    stem = nn.Sequential(OrderedDict(conv=nn.Conv2d(channels, 2 * growth, 3, padding=1, bias=False)))
    count = (depth - 4) // 6
    return DenseNet(stem, "stem.conv", width=2 * growth, growth=growth, layers=(count,) * 3, classes=classes)


IMAGENET = {
    "densenet121": dict(layers=(6, 12, 24, 16)),
    "densenet169": dict(layers=(6, 12, 32, 32)),
    "densenet201": dict(layers=(6, 12, 48, 32)),
    "densenet264": dict(layers=(6, 12, 64, 48)),
}
CIFAR = {
    "densenet_bc100_12": dict(depth=100, growth=12),
}
register_family("densenet", _for_imagenet, IMAGENET)
register_family("densenet", _for_cifar, CIFAR)
