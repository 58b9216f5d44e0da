"""Stochastic depth, in use: torchvision's ResNet-152, and its basic blocks with the authors' shortcuts for CIFAR."""

from __future__ import annotations

import functools

import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional as F

from judges.nets.resnet_cifar import cifar_resnet
from judges.parity import Judge


class MeansAndZeros(nn.Module):
    """Means of 2×2 pixels and as many channels of zeros after them; the last row and column of an odd map alone."""

    def forward(self, x: Tensor) -> Tensor:
        odd_rows, odd_columns = x.shape[2] % 2, x.shape[3] % 2
        repeated = F.pad(x, (0, odd_columns, 0, odd_rows), mode="replicate")
        means = F.avg_pool2d(repeated, 2)
        return torch.cat([means, torch.zeros_like(means)], dim=1)


def _cifar(layers: int) -> nn.Module:
    return cifar_resnet(layers, lambda inputs, outputs: MeansAndZeros())


_small = functools.partial(Judge, shape=(3, 27, 22))

JUDGES = (
    _small("resnet110_stochastic_depth", "torchvision", lambda: _cifar(110)),
    _small("resnet1202_stochastic_depth", "torchvision", lambda: _cifar(1202)),
    Judge("resnet152_stochastic_depth", "torchvision", torchvision.models.resnet152, shape=(3, 75, 62)),
)
