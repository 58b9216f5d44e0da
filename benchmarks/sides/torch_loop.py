"""A plain PyTorch loop over `DataLoader`, as the tutorials write it: python -m sides.torch_loop JOB

The data set converts and normalises each image when it is asked for, as torchvision's `MNIST` does with `ToTensor`
and `Normalize`, but without its detour over Pillow: that is in the peer's favour. Option `workers`: the loader's
processes. Option `ready_tensors`: normalise all images at once beforehand and serve them by `TensorDataset`.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset, TensorDataset

from . import mnist
from .job import Job, Stopwatch


class Digits(Dataset):
    def __init__(self, images: torch.Tensor, labels: torch.Tensor) -> None:
        self.images, self.labels = images, labels

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        image = self.images[index].unsqueeze(0).float().div(255)
        return image.sub_(mnist.MEAN).div_(mnist.STD), self.labels[index]


class LeNet5(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 6, 5, padding=2)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.fc1 = nn.Linear(400, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        x = torch.flatten(x, 1)
        x = F.relu(self.fc1(x))
        x = F.relu(self.fc2(x))
        return self.fc3(x)


def main(job: Job) -> None:
    watch = Stopwatch()
    torch.manual_seed(job.seed)
    train_loader, held_out_loader = loaders(job)
    model = LeNet5()
    optimizer = torch.optim.SGD(model.parameters(), lr=job.lr, momentum=job.momentum, nesterov=True)
    losses, accuracies = [], []
    for _ in range(job.epochs):
        losses.append(train_epoch(model, train_loader, optimizer))
        accuracies.append(accuracy(model, held_out_loader))
        watch.epoch_ended()
    watch.answer(images=job.images - job.held_out, losses=losses, accuracies=accuracies)


def loaders(job: Job) -> tuple[DataLoader, DataLoader]:
    images, labels = (torch.from_numpy(array[: job.images]) for array in mnist.read(job.data, "train"))
    labels, border = labels.long(), len(labels) - job.held_out
    if job.options.get("ready_tensors"):
        ready = images.unsqueeze(1).float().div(255).sub_(mnist.MEAN).div_(mnist.STD)
        parts = TensorDataset(ready[:border], labels[:border]), TensorDataset(ready[border:], labels[border:])
    else:
        parts = Digits(images[:border], labels[:border]), Digits(images[border:], labels[border:])
    workers = job.options.get("workers", 0)
    settings = {"num_workers": workers, "persistent_workers": workers > 0}
    return (
        DataLoader(parts[0], batch_size=job.batch_size, shuffle=True, **settings),
        DataLoader(parts[1], batch_size=1000, **settings),
    )


def train_epoch(model: nn.Module, loader: DataLoader, optimizer: torch.optim.Optimizer) -> float:
    model.train()
    total, count = 0.0, 0
    for x, y in loader:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        total += loss.item() * len(y)
        count += len(y)
    return total / count


@torch.no_grad()
def accuracy(model: nn.Module, loader: DataLoader) -> float:
    model.eval()
    correct, count = 0, 0
    for x, y in loader:
        correct += int((model(x).argmax(1) == y).sum())
        count += len(y)
    return correct / count


if __name__ == "__main__":
    main(Job.from_argument())
