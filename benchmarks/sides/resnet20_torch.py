"""A plain PyTorch training of ResNet-20, as tutorials write it: python -m sides.resnet20_torch FOLDER WORKERS STEPS

Images of CIFAR-10 are Pillow images, cropped, flipped and normalised one by one by torchvision's transforms, and
batched by a `DataLoader` with so many workers. float32, torch's defaults. Says "ready" after the first step, then
answers every line that it is sent with the seconds of so many steps. With WORKERS "none" it repeats one batch.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

from _torchvision import torchvision

from . import cifar10
from .standing import stand

BATCH = 128


class Block(nn.Module):
    """Two convolutions; a shortcut between stages takes every second pixel and adds channels of zeros."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.stride, self.added = stride, outputs - inputs

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        if self.added:
            x = F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.added))
        return F.relu(y + x)


def resnet20() -> nn.Sequential:
    """Build the network; its weights are drawn as He et al. draw them."""
    layers: list[nn.Module] = [nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU()]
    inputs = 16
    for outputs in (16, 32, 64):
        for number in range(3):
            layers.append(Block(inputs, outputs, 2 if number == 0 and outputs > 16 else 1))
            inputs = outputs
    model = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    return model


class Photos(Dataset):
    """The training images with their augmentation."""

    def __init__(self, folder: Path) -> None:
        images, self.labels = cifar10.read(folder)
        self.images = [Image.fromarray(image) for image in images]
        change = torchvision.transforms
        self.transform: Any = change.Compose(
            [
                change.RandomCrop(cifar10.SIDE, padding=4),
                change.RandomHorizontalFlip(),
                change.ToTensor(),
                change.Normalize(cifar10.MEAN, cifar10.STD),
            ]
        )

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.transform(self.images[index]), int(self.labels[index])


def batches(folder: Path, workers: str) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield batches without end."""
    if workers == "none":
        generator = torch.Generator().manual_seed(0)
        images = torch.randn(BATCH, 3, cifar10.SIDE, cifar10.SIDE, generator=generator)
        yield from itertools.repeat((images, torch.arange(BATCH) % 10))
    count = int(workers)
    loader = DataLoader(
        Photos(folder), BATCH, shuffle=True, drop_last=True, num_workers=count, persistent_workers=count > 0
    )
    while True:
        yield from loader


def main(folder: Path, workers: str, count: int) -> None:
    torch.manual_seed(0)
    model = resnet20().train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-4)
    source = batches(folder, workers)

    def step() -> float:
        images, labels = next(source)
        optimizer.zero_grad()
        loss = F.cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()
        return loss.item()

    losses = [step()]
    told = {"images": count * BATCH, "losses": losses, "parameters": sum(each.numel() for each in model.parameters())}
    stand(lambda: losses.extend(step() for _ in range(count)), lambda: told)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
