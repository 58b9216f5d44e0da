"""One small network, written in the ways in which other people write networks."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Stranger(nn.Module):
    """Four convolutions, one with a shortcut; batch norm, max-pooling, dropout; pooled and linear at the end."""

    def __init__(self, channels: int = 3, classes: int = 4) -> None:
        super().__init__()
        self.conv1, self.norm = nn.Conv2d(channels, 6, 3, padding=1), nn.BatchNorm2d(6)
        self.conv2, self.conv3 = nn.Conv2d(6, 6, 3, padding=1), nn.Conv2d(6, 8, 3, stride=2, padding=1)
        self.relu, self.drop, self.head = nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, classes)

    def forward(self, x: Tensor) -> Tensor:
        raise NotImplementedError


class Modular(Stranger):
    def __init__(self, channels: int = 3) -> None:
        super().__init__(channels)
        self.relu1, self.relu2, self.relu3 = nn.ReLU(), nn.ReLU(), nn.ReLU()
        self.pool, self.average = nn.MaxPool2d(2), nn.AdaptiveAvgPool2d(1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu1(self.norm(self.conv1(x - 0.25)))
        x = self.pool(self.relu2(self.conv2(x) + x))
        return self.head(self.average(self.drop(self.relu3(self.conv3(x)))).flatten(1))


class Shared(Stranger):
    """One ReLU module for all places."""

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.norm(self.conv1(x - 0.25)))
        x = torch.max_pool2d(self.relu(self.conv2(x) + x), 2)
        return self.head(self.drop(self.relu(self.conv3(x))).mean((2, 3)))


class Functional(Stranger):
    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.norm(F.conv2d(x - 0.25, self.conv1.weight, self.conv1.bias, padding=1)))
        x = F.max_pool2d(torch.relu(self.conv2(x).add(x)), 2)
        x = F.dropout(self.conv3(x).relu(), 0.5, self.training)
        return F.linear(F.adaptive_avg_pool2d(x, 1).flatten(1), self.head.weight, self.head.bias)


class InPlace(Stranger):
    """It overwrites all that it can, the images first."""

    def forward(self, x: Tensor) -> Tensor:
        x -= 0.25
        x = F.relu_(self.norm(self.conv1(x)))
        y = self.conv2(x)
        y += x
        F.relu(y, inplace=True)
        x = self.conv3(F.max_pool2d(y, 2)).relu_()
        return self.head(F.dropout(x, 0.5, self.training).mean((2, 3)))


WRITTEN = {"shared": Shared, "functional": Functional, "in place": InPlace}


def stranger(kind: type[Stranger] = Modular, channels: int = 3, seed: int = 0) -> Stranger:
    """A network of this kind with the weights that all kinds have for this seed, at rest."""
    generator = torch.Generator().manual_seed(seed)
    network = kind(channels)
    with torch.no_grad():
        for tensor in (*network.parameters(), *network.buffers()):
            if tensor.is_floating_point():
                tensor.copy_(torch.randn(tensor.shape, generator=generator) * 0.4)
        network.norm.running_var.abs_().add_(0.5)  # pyright: ignore[reportOptionalMemberAccess]
    return network.eval()
