"""NASNet-A: two cells that a search found on CIFAR-10, stacked for ImageNet.

Zoph, Vasudevan, Shlens and Le, "Learning transferable architectures for scalable image recognition", CVPR 2018,
arXiv:1707.07012.

A cell reads the outputs of the two cells before it (figure 4). After a 3×3 convolution and two reduction cells follow
three runs of N normal cells, a reduction cell between them (figure 2, right); each reduction doubles the filters. A
network is named after N and the filters after the last cell: 4 @ 1056 and 6 @ 4032.

What the paper leaves open is as in the authors' code (TF-Slim): how an input is fitted to a cell, padding by
TensorFlow's rule, batch norm's epsilon of 0.001, dropout of 0.5 before the classifier, an auxiliary classifier after
the second run, and in the large network a cell that follows a reduction reading what the reduction read before. First
weights are He's with the fan-out; the classifiers' are Xavier's, for the fan-out of few classes would start them too
large. The code's momentum of batch norm, 0.0003, is for millions of steps; here it is torch's 0.1.

Scheduled drop path drops a path of a cell for an image, deeper cells more often, at rates that grow from zero to full
over the training. Here they are full from the start: a network has no access to the progress of its training.
"""

from __future__ import annotations

import functools
from collections import OrderedDict
from collections.abc import Mapping
from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor, nn

from striate.layers import (
    Add,
    AvgPool2dSame,
    Concat,
    Conv2dSame,
    GlobalAveragePool,
    MaxPool2dSame,
    StochasticDepth,
    he_,
    xavier_,
)
from striate.models._zoo import Network, register_family
from striate.tracing import EmptyMapError

_batch_norm = functools.partial(nn.BatchNorm2d, eps=1e-3)


class Given(NamedTuple):
    """A map that a cell can read: its channels, and its stride in pixels of the image."""

    channels: int
    stride: int


def projection(inputs: int, outputs: int) -> nn.Sequential:
    """ReLU, 1×1 convolution, norm."""
    conv = nn.Conv2d(inputs, outputs, 1, bias=False)
    return nn.Sequential(OrderedDict(relu=nn.ReLU(), conv=conv, norm=_batch_norm(outputs)))


class FactorizedReduction(nn.Module):
    """ReLU and half the size without a loss: one 1×1 convolution of the even pixels, one of the odd ones, then norm.

    Beyond the last row and column the odd pixels are zero.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.relu = nn.ReLU()
        self.even = nn.Conv2d(inputs, outputs // 2, 1, 2, bias=False)
        self.shift = nn.ZeroPad2d((-1, 1, -1, 1))
        self.odd = nn.Conv2d(inputs, outputs // 2, 1, 2, bias=False)
        self.concat = Concat()
        self.norm = _batch_norm(outputs)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k y x"]:
        x = self.relu(x)
        return self.norm(self.concat(self.even(x), self.odd(self.shift(x))))


def separable(inputs: int, outputs: int, kernel: int, rate: float, stride: int = 1) -> nn.Sequential:
    """ReLU, separable convolution and norm, twice (appendix A.4); only the first convolution has the stride."""
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    for number, (width, step) in enumerate(((inputs, stride), (outputs, 1)), start=1):
        layers[f"relu{number}"] = nn.ReLU()
        layers[f"depthwise{number}"] = Conv2dSame(width, width, kernel, step, groups=width, bias=False)
        layers[f"pointwise{number}"] = nn.Conv2d(width, outputs, 1, bias=False)
        layers[f"norm{number}"] = _batch_norm(outputs)
    layers["drop"] = StochasticDepth(rate)
    return nn.Sequential(layers)


def average(rate: float, stride: int = 1) -> nn.Sequential:
    """Return the mean of 3×3 pixels, those outside the map not counted."""
    return nn.Sequential(OrderedDict(pool=AvgPool2dSame(3, stride), drop=StochasticDepth(rate)))


def maximum(rate: float) -> nn.Sequential:
    """Return the largest of 3×3 pixels, with a stride of 2."""
    return nn.Sequential(OrderedDict(pool=MaxPool2dSame(3, 2), drop=StochasticDepth(rate)))


class Cell(nn.Module):
    """The beginning of both cells: the two maps that they read, brought to `width` channels and the same size.

    The first cell of all reads one map twice, the second time as it is.
    """

    def __init__(self, current: Given, previous: Given, width: int) -> None:
        super().__init__()
        self.fit_previous: nn.Module | None = None
        self.before = Given(width, previous.stride)
        if previous is current:
            self.before = previous
        elif previous.stride == current.stride:
            self.fit_previous = projection(previous.channels, width)
        else:
            self.fit_previous = FactorizedReduction(previous.channels, width)
            self.before = Given(width, 2 * previous.stride)
        self.fit = projection(current.channels, width)

    def _fitted(self, current: Tensor, previous: Tensor) -> tuple[Tensor, Tensor]:
        before = previous if self.fit_previous is None else self.fit_previous(previous)
        return self.fit(current), before


class NormalCell(Cell):
    """Keeps the size: figure 4, left. Five sums, concatenated with the fitted previous map: 6 · `width` channels."""

    def __init__(self, current: Given, previous: Given, width: int, rate: float) -> None:
        super().__init__(current, previous, width)
        self.left1 = separable(width, width, 5, rate)
        self.right1 = separable(width, width, 3, rate)
        self.add1 = Add()
        self.left2 = separable(width, width, 5, rate)
        self.right2 = separable(width, width, 3, rate)
        self.add2 = Add()
        self.left3 = average(rate)
        self.add3 = Add()
        self.left4 = average(rate)
        self.right4 = average(rate)
        self.add4 = Add()
        self.left5 = separable(width, width, 3, rate)
        self.add5 = Add()
        self.concat = Concat()
        self.given = Given(6 * width, current.stride)

    def forward(
        self, current: Float[Tensor, "n c h w"], previous: Float[Tensor, "n p y x"]
    ) -> Float[Tensor, "n k h w"]:
        x, before = self._fitted(current, previous)
        first = self.add1(self.left1(x), self.right1(before))
        second = self.add2(self.left2(before), self.right2(before))
        third = self.add3(self.left3(x), before)
        fourth = self.add4(self.left4(before), self.right4(before))
        fifth = self.add5(self.left5(x), x)
        return self.concat(before, first, second, third, fourth, fifth)


class ReductionCell(Cell):
    """Halves the size: figure 4, right. Four of five sums are concatenated; others read the first: 4 · `width`."""

    def __init__(self, current: Given, previous: Given, width: int, rate: float) -> None:
        super().__init__(current, previous, width)
        before = self.before
        self.left1 = separable(width, width, 5, rate, stride=2)
        self.right1 = separable(before.channels, width, 7, rate, stride=2)
        self.add1 = Add()
        self.left2 = maximum(rate)
        self.right2 = separable(before.channels, width, 7, rate, stride=2)
        self.add2 = Add()
        self.left3 = average(rate, stride=2)
        self.right3 = separable(before.channels, width, 5, rate, stride=2)
        self.add3 = Add()
        self.left4 = average(rate)
        self.add4 = Add()
        self.left5 = separable(width, width, 3, rate)
        self.right5 = maximum(rate)
        self.add5 = Add()
        self.concat = Concat()
        self.given = Given(4 * width, 2 * current.stride)

    def forward(
        self, current: Float[Tensor, "n c h w"], previous: Float[Tensor, "n p y x"]
    ) -> Float[Tensor, "n k v u"]:
        x, before = self._fitted(current, previous)
        first = self.add1(self.left1(x), self.right1(before))
        second = self.add2(self.left2(x), self.right2(before))
        third = self.add3(self.left3(x), self.right3(before))
        fourth = self.add4(self.left4(first), second)
        fifth = self.add5(self.left5(first), self.right5(x))
        return self.concat(second, third, fourth, fifth)


class AuxiliaryClassifier(nn.Module):
    """A small classifier on a map of `size`, for training only; its last convolution covers all that is left of it."""

    def __init__(self, inputs: int, size: tuple[int, int], classes: int) -> None:
        super().__init__()
        rows, columns = ((side - 5) // 3 + 1 for side in size)
        self.relu1 = nn.ReLU()
        self.pool = nn.AvgPool2d(5, 3)
        self.project = nn.Conv2d(inputs, 128, 1, bias=False)
        self.norm1 = _batch_norm(128)
        self.relu2 = nn.ReLU()
        self.conv = nn.Conv2d(128, 768, (rows, columns), bias=False)
        self.norm2 = _batch_norm(768)
        self.relu3 = nn.ReLU()
        self.flatten = nn.Flatten()
        self.fc = nn.Linear(768, classes)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k"]:
        x = self.relu2(self.norm1(self.project(self.pool(self.relu1(x)))))
        x = self.relu3(self.norm2(self.conv(x)))
        return self.fc(self.flatten(x))


def _plan(filters: int, repeats: int) -> list[tuple[str, type[NormalCell] | type[ReductionCell], int]]:
    """Return the name, kind and filters of each cell, from the input to the output."""
    plan: list[tuple[str, type[NormalCell] | type[ReductionCell], int]] = [
        ("stem1", ReductionCell, filters // 4),
        ("stem2", ReductionCell, filters // 2),
    ]
    for run in range(3):
        plan += [(f"reduction{run}", ReductionCell, filters << run)] if run else []
        plan += [(f"cell{run * repeats + n + 1}", NormalCell, filters << run) for n in range(repeats)]
    return plan


class NASNet(Network):
    """NASNet-A with `repeats` normal cells in each of three runs; `filters` are those of the first run's cells.

    `stem` counts the filters of the first convolution. With `skips`, the cell after a reduction reads the map before
    the one that was reduced. `drop` is drop path's rate in the last cell, and less in proportion in those before. An
    auxiliary classifier is built for images from 67 pixels on, whose map it can pool by 5×5.

    Raises:
        EmptyMapError: the images have a side of less than 19 pixels: a map of one row or column, which has no odd
            pixels, would have to be halved.
    """

    head = "fc"

    def __init__(
        self,
        channels: int,
        size: tuple[int, int],
        classes: int,
        *,
        stem: int,
        filters: int,
        repeats: int,
        skips: bool,
        drop: float,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, stem, 3, 2, bias=False)
        self.norm = _batch_norm(stem)
        plan = _plan(filters, repeats)
        given = [Given(stem, 2)]
        self.cells = nn.ModuleDict()
        self._reads: list[int] = []  # the second map that a cell reads, counted back from the last one
        for index, (name, kind, width) in enumerate(plan):
            behind_reduction = plan[index - 1][0].startswith("reduction")
            self._reads.append(0 if index == 0 else 2 if skips and behind_reduction else 1)
            cell = kind(given[-1], given[-1 - self._reads[-1]], width, drop * (index + 1) / len(plan))
            self.cells[name] = cell
            given.append(cell.given)
        self._branch = f"cell{2 * repeats}"
        # After the second run: the first convolution is not padded; three reductions halve its map, rounding up.
        rows, columns = (-(-((side - 1) // 2) // 8) for side in size)
        if min(rows, columns) < 2:
            raise EmptyMapError(f"The last reduction halves a map of {rows}×{columns}, which has no odd pixels.")
        self.auxiliary = (
            AuxiliaryClassifier(12 * filters, (rows, columns), classes) if min(rows, columns) >= 5 else None
        )
        self.auxiliary_heads: Mapping[str, str] = {"auxiliary": "auxiliary.fc"} if self.auxiliary else {}
        self.relu = nn.ReLU()
        self.pool = GlobalAveragePool()
        self.dropout = nn.Dropout(0.5)
        self.fc = nn.Linear(24 * filters, classes)
        he_(self, fan="out")
        for path in (self.head, *self.auxiliary_heads.values()):
            xavier_(self.get_submodule(path))

        self.feature_maps = {
            "stem": "norm",
            "stage1": "cells.stem1.concat",
            "stage2": f"cells.cell{repeats}.concat",
            "stage3": f"cells.{self._branch}.concat",
            "stage4": "relu",
        }

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k"]:
        return self._classify(self._maps(x)[1])

    def forward_with_auxiliary(
        self, x: Float[Tensor, "n c h w"]
    ) -> tuple[Float[Tensor, "n k"], dict[str, Float[Tensor, "n k"]]]:
        """Return the logits, and those of the classifier after the second run; the authors weigh its loss by 0.4."""
        branch, last = self._maps(x)
        return self._classify(last), {} if self.auxiliary is None else {"auxiliary": self.auxiliary(branch)}

    def _maps(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the map after the second run and the last one."""
        latest = [self.norm(self.conv(x))]
        branch = latest[0]
        for (name, cell), reads in zip(self.cells.items(), self._reads, strict=True):
            latest = [*latest[-2:], cell(latest[-1], latest[-1 - reads])]
            branch = latest[-1] if name == self._branch else branch
        return branch, latest[-1]

    def _classify(self, x: Tensor) -> Tensor:
        return self.fc(self.dropout(self.pool(self.relu(x))))


VARIANTS = {
    "nasnet_mobile": dict(stem=32, filters=44, repeats=4, skips=False, drop=0.0),
    "nasnet_large": dict(stem=96, filters=168, repeats=6, skips=True, drop=0.3),
}
register_family("nasnet", NASNet, VARIANTS)
