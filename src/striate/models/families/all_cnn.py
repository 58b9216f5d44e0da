"""The all-convolutional net: nothing but convolutions, some of them with a stride of two.

Springenberg, Dosovitskiy, Brox and Riedmiller, "Striving for simplicity: the all convolutional net", ICLR 2015
(workshop), arXiv:1412.6806: table 1 for the models A, B and C, table 2 and section 2 for their variants.

A model is two blocks, each closed by a 3×3 max pooling with a stride of two. Two things may stand in its place:

    strided   the pooling is gone, and the stride of the convolution before it is two
    all       the pooling gives way to a 3×3 convolution with a stride of two

Then follow a 3×3 and two 1×1 convolutions, the last with a map for each class, and the average of each map. The paper
averages over 6×6 positions: so the blocks keep their sizes by padding, and the 3×3 convolution after them, on 8×8, has
none. A ReLU follows the last layer too (table 1), so that no logit is negative. Dropout: 20 % of the image's values
and 50 % after each block (section 3.1).

The first weights are not given; here they are He's. Only the last layer starts with small ones and biases of one: a
class whose map the last ReLU shut for all images at the start would never learn.
"""

from __future__ import annotations

from collections import OrderedDict

from jaxtyping import Float
from torch import Tensor, nn

from striate.layers import GlobalAveragePool, he_, normal_
from striate.models._zoo import Network, register_family

Kernels = tuple[tuple[int, int], ...]

# What a block is made of: for each convolution its kernel and its stride.
_ALL_A: Kernels = ((5, 1), (3, 2))
_ALL_B: Kernels = ((5, 1), (1, 1), (3, 2))
_ALL_C: Kernels = ((3, 1), (3, 1), (3, 2))
_STRIDED_A: Kernels = ((5, 2),)
_STRIDED_B: Kernels = ((5, 1), (1, 2))
_STRIDED_C: Kernels = ((3, 1), (3, 2))


class AllCNN(Network):
    """Two blocks of 96 and 192 filters, `kernels` their convolutions, and three layers at one quarter of the size.

    Raises:
        EmptyMapError: the images have a side of less than 9 pixels.
    """

    head = "features.conv5"

    def __init__(self, channels: int, classes: int, kernels: Kernels) -> None:
        super().__init__()
        layers: OrderedDict[str, nn.Module] = OrderedDict(drop0=nn.Dropout(0.2))
        self.feature_maps, inputs = {}, channels
        for block, width in enumerate((96, 192), start=1):
            for number, (kernel, stride) in enumerate(kernels, start=1):
                layers[f"conv{block}_{number}"] = nn.Conv2d(inputs, width, kernel, stride, padding=kernel // 2)
                layers[f"relu{block}_{number}"] = nn.ReLU()
                inputs = width
            self.feature_maps[f"stage{block}"] = f"features.relu{block}_{len(kernels)}"
            layers[f"drop{block}"] = nn.Dropout(0.5)
        layers |= OrderedDict(
            conv3=nn.Conv2d(192, 192, 3),
            relu3=nn.ReLU(),
            conv4=nn.Conv2d(192, 192, 1),
            relu4=nn.ReLU(),
            conv5=nn.Conv2d(192, classes, 1),
            relu5=nn.ReLU(),
        )
        self.features = nn.Sequential(layers)
        self.pool = GlobalAveragePool()
        self.feature_maps["stage3"] = "features.relu4"
        he_(self)
        normal_(self.get_submodule(self.head), std=0.02)
        nn.init.ones_(self.get_parameter(f"{self.head}.bias"))

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k"]:
        return self.pool(self.features(x))


VARIANTS = {
    "all_cnn_a": dict(kernels=_ALL_A),
    "all_cnn_b": dict(kernels=_ALL_B),
    "all_cnn_c": dict(kernels=_ALL_C),
    "strided_cnn_a": dict(kernels=_STRIDED_A),
    "strided_cnn_b": dict(kernels=_STRIDED_B),
    "strided_cnn_c": dict(kernels=_STRIDED_C),
}
register_family("all_cnn", AllCNN, VARIANTS)
