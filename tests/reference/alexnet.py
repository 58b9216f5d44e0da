"""AlexNet of 2012 with its two columns written out, as on two graphics cards: what each knows of the other is passed on
by hand where figure 2 shows an exchange, in the third convolution and in the fully connected layers."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def two_columns(weights: dict[str, Tensor], pictures: Tensor) -> Tensor:
    """The logits in eval mode; `weights` are the network's own, each column taking its half of the filters."""

    def convolve(x: Tensor, name: str, column: int, stride: int = 1, padding: int = 0) -> Tensor:
        kernel, bias = (weights[f"features.{name}.{kind}"].chunk(2)[column] for kind in ("weight", "bias"))
        return F.conv2d(x, kernel, bias, stride, padding).relu()

    def connect(halves: list[Tensor], name: str) -> Tensor:
        return F.linear(torch.cat(halves, dim=1), weights[f"{name}.weight"], weights[f"{name}.bias"])

    columns = [convolve(pictures, "conv1", column, stride=4) for column in (0, 1)]
    columns = [F.max_pool2d(normalise(x), 3, 2) for x in columns]
    columns = [convolve(x, "conv2", column, padding=2) for column, x in enumerate(columns)]
    columns = [F.max_pool2d(normalise(x), 3, 2) for x in columns]
    both = torch.cat(columns, dim=1)
    columns = [convolve(both, "conv3", column, padding=1) for column in (0, 1)]
    columns = [convolve(x, "conv4", column, padding=1) for column, x in enumerate(columns)]
    columns = [convolve(x, "conv5", column, padding=1) for column, x in enumerate(columns)]
    halves = [F.max_pool2d(x, 3, 2).flatten(1) for x in columns]
    hidden = connect(halves, "fc6").relu()
    hidden = connect([hidden], "fc7").relu()
    return connect([hidden], "fc8")


def normalise(maps: Tensor) -> Tensor:
    """Section 3.3, kernel by kernel: k = 2, n = 5, α = 10⁻⁴, β = 0.75."""
    count = maps.shape[1]
    normalised = []
    for i in range(count):
        neighbours = maps[:, max(0, i - 2) : min(count - 1, i + 2) + 1]
        normalised.append(maps[:, i] / (2 + 1e-4 * neighbours.square().sum(1)) ** 0.75)
    return torch.stack(normalised, dim=1)
