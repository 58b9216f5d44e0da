"""The 94 % method for CIFAR-10 as it trains on a GPU: half precision, channels last, images held and changed there.

The rules are those of `airbench`. All images of an epoch are flipped and shifted at once, as the author does. The loss
is the sum over a batch, whose gradients half precision can hold. Nothing is compiled.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .airbench import BATCH, EPOCHS, SHIFT, Training, build, normalized


class TrainingOnGPU(Training):
    """A training on images (count, 32, 32, 3) of 8 bits that are on the GPU, as are their labels."""

    def __init__(self, images: Tensor, labels: Tensor, seed: int) -> None:
        torch.manual_seed(seed)
        self.format = torch.channels_last
        shares = normalized(images)
        model = build(shares[:5000].cpu())
        model = model.to(images.device, precision(images), memory_format=self.format)  # pyright: ignore[reportCallIssue]
        for module in model:
            if isinstance(module, nn.BatchNorm2d):
                module.float()
        self.model = model.train()
        self.images, self.labels = half(shares), labels
        self.per_epoch = len(images) // BATCH
        self.length, self.step = math.ceil(EPOCHS * self.per_epoch), 0
        self.flipped = torch.rand(len(images), device=images.device) < 0.5
        self._optimize(float(BATCH))

    def _batch(self) -> tuple[Tensor, Tensor]:
        epoch, place = divmod(self.step, self.per_epoch)
        if place == 0:
            self.order = torch.randperm(len(self.images), device=self.images.device)
            self.shown = self._changed(epoch)
        chosen = self.order[place * BATCH : (place + 1) * BATCH]
        return self.shown[chosen], self.labels[chosen]

    def _changed(self, epoch: int) -> Tensor:
        """The images of an epoch: flipped at random in the first one, then alternately, and shifted."""
        flipped = (self.flipped ^ bool(epoch % 2))[:, None, None, None]
        padded = F.pad(torch.where(flipped, self.images.flip(3), self.images), (SHIFT,) * 4, mode="reflect")
        moved = torch.empty_like(self.images)
        offsets = torch.randint(2 * SHIFT + 1, (2, len(moved)), device=moved.device)
        for y in range(2 * SHIFT + 1):
            for x in range(2 * SHIFT + 1):
                here = (offsets[0] == y) & (offsets[1] == x)
                moved[here] = padded[here, :, y : y + moved.shape[2], x : x + moved.shape[3]]
        return moved


def half(images: Tensor) -> Tensor:
    return images.to(precision(images)).contiguous(memory_format=torch.channels_last)


def precision(images: Tensor) -> torch.dtype:
    """Half precision on a GPU; a processor has no fast operations of it, and is only to see that a training works."""
    return torch.half if images.is_cuda else torch.float
