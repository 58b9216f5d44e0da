"""PyTorch's well-known MNIST example, written again from its published settings.

    python -m sides.torch_example DATA EPOCHS

Convolutions of 32 and 64 3×3 kernels, max pooling, dropout of 0.25 and 0.5, a layer of 128, log-softmax; Adadelta with
a rate of 1.0 that is multiplied by 0.7 after each epoch; batches of 64; the test set, in batches of 1,000, after each
of 14 epochs. No workers and the images in their given order, as the example has it where there is no accelerator. The
images are converted one by one, but without torchvision's detour over Pillow: that is in the example's favour.
"""

from __future__ import annotations

import json
import sys
import time

import torch
from torch import nn
from torch.nn import functional as F
from torch.optim.lr_scheduler import StepLR
from torch.utils.data import DataLoader

from . import mnist
from .torch_loop import Digits


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 32, 3)
        self.conv2 = nn.Conv2d(32, 64, 3)
        self.dropout1 = nn.Dropout(0.25)
        self.dropout2 = nn.Dropout(0.5)
        self.fc1 = nn.Linear(9216, 128)
        self.fc2 = nn.Linear(128, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.conv1(x))
        x = F.relu(self.conv2(x))
        x = self.dropout1(F.max_pool2d(x, 2))
        x = F.relu(self.fc1(torch.flatten(x, 1)))
        return F.log_softmax(self.fc2(self.dropout2(x)), dim=1)


def main(data: str, epochs: int) -> None:
    torch.manual_seed(1)
    train_loader = DataLoader(digits(data, "train"), batch_size=64)
    test_loader = DataLoader(digits(data, "t10k"), batch_size=1000)
    model = Net()
    optimizer = torch.optim.Adadelta(model.parameters(), lr=1.0)
    scheduler = StepLR(optimizer, step_size=1, gamma=0.7)
    seconds, accuracies = [], []
    for _ in range(epochs):
        start = time.perf_counter()
        train(model, train_loader, optimizer)
        accuracies.append(test(model, test_loader))
        scheduler.step()
        seconds.append(time.perf_counter() - start)
    print(json.dumps({"epoch_seconds": seconds, "accuracies": accuracies}))


def digits(data: str, part: str) -> Digits:
    images, labels = mnist.read(data, part)
    return Digits(torch.from_numpy(images), torch.from_numpy(labels).long())


def train(model: nn.Module, loader: DataLoader, optimizer: torch.optim.Optimizer) -> None:
    model.train()
    for x, y in loader:
        optimizer.zero_grad()
        F.nll_loss(model(x), y).backward()
        optimizer.step()


@torch.no_grad()
def test(model: nn.Module, loader: DataLoader) -> float:
    model.eval()
    correct = sum(int((model(x).argmax(dim=1) == y).sum()) for x, y in loader)
    return correct / 10_000


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
