"""LeNet-5 as it was drawn in 1998.

LeCun, Bottou, Bengio and Haffner, "Gradient-based learning applied to document recognition", Proceedings of the IEEE
86(11), 1998: section II-B, figure 2 and table I; appendix A for the squashing function and the first weights.

    C1 6@28×28   S2 6@14×14   C3 16@10×10   S4 16@5×5   C5 120   F6 84   output 10

Pooling is trainable (one weight and one bias for each map), C3 sees only some of S2's maps, and an output is the
squared distance between F6 and a code: for digits a drawing of 7×12 pixels, so that digits which look alike have codes
that lie close together. The network returns minus that distance, so that the softmax loss can be applied to it: the
paper's own criterion (eq. 9) is that loss with one more, constant output for images that are no digit at all.

Where we differ: the bitmaps are drawn by us in the style of figure 3; for another number of classes than ten the codes
are ±1 at random, always the same ones. The biases, which appendix A does not mention, start at zero. The paper centres
28×28 digits in 32×32; as in `lenet5`, a side of less than 32 pixels is padded by two zeros at both ends. With larger
images C5 has more than one position, and F6 sees them all. `head` is the output layer, whose codes are fixed: transfer
trains the layers before it, and `replace_head` puts a fully connected layer in its place.
"""

from __future__ import annotations

import itertools
import math
from collections import OrderedDict
from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from striate.core.rng import Stream
from striate.layers import Concat
from striate.models._zoo import Network, register_family
from striate.tracing import output_shape

_PAPER_SIDE = 32

# Table I: the maps of S2 that each of C3's sixteen maps is connected to.
_TABLE_1 = (
    *((0, 1, 2), (1, 2, 3), (2, 3, 4), (3, 4, 5), (0, 4, 5), (0, 1, 5)),
    *((0, 1, 2, 3), (1, 2, 3, 4), (2, 3, 4, 5), (0, 3, 4, 5), (0, 1, 4, 5), (0, 1, 2, 5)),
    *((0, 1, 3, 4), (1, 2, 4, 5), (0, 2, 3, 5)),
    (0, 1, 2, 3, 4, 5),
)

_DIGITS = """
..###.. ...##.. ..###.. ..###.. ....##. ####### ...###. ####### ..###.. ..###..
.##.##. ..###.. .##.##. .##.##. ...###. ##..... ..##... .....## .##.##. .##.##.
##...## .####.. ##...## ##...## ...###. ##..... .##.... .....## ##...## ##...##
##...## ...##.. .....## .....## ..####. ##..... ##..... ....##. ##...## ##...##
##...## ...##.. .....## .....## ..#.##. #####.. ##..... ....##. .##.##. ##...##
##...## ...##.. ....##. ...###. .##.##. ....##. #####.. ...##.. ..###.. .##..##
##...## ...##.. ...##.. ....##. .#..##. .....## ##..##. ...##.. .##.##. ..#####
##...## ...##.. ..##... .....## ####### .....## ##...## ..##... ##...## .....##
##...## ...##.. .##.... .....## ....##. .....## ##...## ..##... ##...## .....##
##...## ...##.. ##..... ##...## ....##. ##...## ##...## .##.... ##...## ....##.
.##.##. ...##.. ##..... .##.##. ....##. .##.##. .##.##. .##.... .##.##. ...##..
..###.. .###### ####### ..###.. ....##. ..###.. ..###.. ##..... ..###.. .###...
"""
_UNITS = 84  # of F6: the pixels of a bitmap, 12 rows of 7


class ScaledTanh(nn.Module):
    """f(a) = 1.7159 tanh(2a / 3), appendix A: f(±1) = ±1, where its second derivative is largest."""

    def forward(self, x: Float[Tensor, "n c *size"]) -> Float[Tensor, "n c *size"]:
        return 1.7159 * torch.tanh(2 / 3 * x)


class Subsampling(nn.Module):
    """The sum of each 2×2 values, times a weight of its map, plus a bias of its map."""

    def __init__(self, maps: int) -> None:
        super().__init__()
        self.sum = nn.AvgPool2d(2, divisor_override=1)
        self.weight = nn.Parameter(torch.ones(maps))
        self.bias = nn.Parameter(torch.zeros(maps))

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c y x"]:
        return self.sum(x) * self.weight[:, None, None] + self.bias[:, None, None]


class PartialConvolution(nn.Module):
    """A convolution whose k-th output map sees only the input maps `table[k]`.

    Neighbours in the table that see equally many maps are computed together, as the groups of one convolution over the
    maps they read, concatenated.
    """

    def __init__(self, table: Sequence[Sequence[int]], kernel: int) -> None:
        super().__init__()
        self.seen: list[list[int]] = []
        self.parts = nn.ModuleDict()
        for count, equals in itertools.groupby(table, len):
            rows = list(equals)
            self.seen.append(list(itertools.chain(*rows)))
            self.parts[f"of{count}"] = nn.Conv2d(count * len(rows), len(rows), kernel, groups=len(rows))
        self.join = Concat()

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n m y x"]:
        maps = x.split(1, dim=1)
        beside = [torch.cat([maps[index] for index in seen], dim=1) for seen in self.seen]
        return self.join(*(part(seen) for part, seen in zip(self.parts.values(), beside, strict=True)))


class CodeDistances(nn.Module):
    """Minus the squared distance to each class's code (eq. 7): -Σ (xᵢ - cᵢ)² = 2 Σ xᵢcᵢ - Σ xᵢ² - Σ cᵢ²."""

    codes: Tensor

    def __init__(self, codes: Sequence[Sequence[int]]) -> None:
        super().__init__()
        self.register_buffer("codes", torch.tensor(codes, dtype=torch.get_default_dtype()))
        self.out_features, self.in_features = self.codes.shape

    def forward(self, x: Float[Tensor, "n f"]) -> Float[Tensor, "n k"]:
        return 2 * F.linear(x, self.codes) - x.square().sum(1, keepdim=True) - self.codes.square().sum(1)


def class_codes(classes: int) -> list[list[int]]:
    """Return a code of 84 values ±1 for each class: the bitmaps for ten classes, else random and always the same."""
    if classes == 10:
        rows = [line.split() for line in _DIGITS.split("\n") if line]
        return [[1 if pixel == "#" else -1 for row in rows for pixel in row[digit]] for digit in range(10)]
    bits = Stream(1998, "lenet5_1998.codes").bits(epoch=0, index=range(classes), draws=_UNITS)
    return [[1 if bit % 2 else -1 for bit in row] for row in bits.tolist()]


class LeNet5Of1998(Network):
    """Convolutions and subsamplings in turn, two fully connected layers, distances to codes; squashed between all.

    Raises:
        EmptyMapError: the images have a side of less than 28 pixels.
    """

    feature_maps: Mapping[str, str] = {
        "stage1": "features.squash1",
        "stage2": "features.squash3",
    }
    head = "output"

    def __init__(self, channels: int, size: tuple[int, int], classes: int) -> None:
        super().__init__()
        height, width = (2 if side < _PAPER_SIDE else 0 for side in size)
        self.features = nn.Sequential(
            OrderedDict(
                c1=nn.Conv2d(channels, 6, 5, padding=(height, width)),
                squash1=ScaledTanh(),
                s2=Subsampling(6),
                squash2=ScaledTanh(),
                c3=PartialConvolution(_TABLE_1, 5),
                squash3=ScaledTanh(),
                s4=Subsampling(16),
                squash4=ScaledTanh(),
                c5=nn.Conv2d(16, 120, 5),
                squash5=ScaledTanh(),
            )
        )
        self.flatten = nn.Flatten()
        self.f6 = nn.Linear(math.prod(output_shape(self.features, (channels, *size))), _UNITS)
        self.squash6 = ScaledTanh()
        self.output = CodeDistances(class_codes(classes))
        _initialise_(self)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k"]:
        x = self.flatten(self.features(x))
        return self.output(self.squash6(self.f6(x)))


def _initialise_(network: nn.Module) -> None:
    """Appendix A: uniform in ±2.4 / F, where F is how many inputs a unit has (four for a subsampling one)."""
    for layer in network.modules():
        if isinstance(layer, (nn.Conv2d, nn.Linear, Subsampling)) and not layer.weight.is_meta:
            bound = 2.4 / (4 if isinstance(layer, Subsampling) else layer.weight[0].numel())
            nn.init.uniform_(layer.weight, -bound, bound)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


register_family("lenet5_1998", LeNet5Of1998, {"lenet5_1998": {}})
