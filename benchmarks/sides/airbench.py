"""The 94 % method for CIFAR-10 in plain float32 PyTorch: python -m sides.airbench FOLDER LAYOUT [STATE SEED]

Jordan, "94% on CIFAR-10 in 3.29 seconds on a single GPU", arXiv:2404.00498: frozen patch whitening, partial identities,
norms with fast biases and fixed scales, Nesterov's momentum with a triangular rate, Lookahead, label smoothing,
alternating flips, shifts by 2 pixels, six views. 9.9 epochs of all 50,000 images in batches of 1,024. Hyperparameters
are the paper's (section 3 and appendix A); it trains in half precision on a GPU. LAYOUT is torch's memory format.

With STATE it trains to the end, from the file where an earlier process was stopped, and answers with its accuracy.
Without, it says "ready" and answers every line that it is sent with the seconds of two steps.
"""

from __future__ import annotations

import json
import math
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from . import cifar10
from .standing import stand

EPOCHS, BATCH = 9.9, 1024
WIDTHS, FILTERS = (64, 256, 256), 24
MOMENTUM, SMOOTHING, BIAS_RATE, SHIFT = 0.85, 0.2, 64.0, 2
PER_STEP = 1 + 1 / (1 - MOMENTUM)  # images of a step count so often in the paper's "kilosteps" of 1,024
RATE = 11.5 / PER_STEP  # of the mean loss; the paper's sum over a batch has 1 / 1,024 of it
DECAY = 0.0153 / PER_STEP  # of the weights in a step
SLICE = 2


def read(folder: Path, names: Sequence[str]) -> tuple[Tensor, Tensor]:
    """Return normalized images and labels of the official binary batches."""
    images, labels = cifar10.read(folder, names)
    return normalized(torch.from_numpy(images)), torch.from_numpy(labels)


def normalized(images: Tensor) -> Tensor:
    """Return images (count, side, side, 3) of 8 bits as the network takes them, (count, 3, side, side)."""
    shares = images.permute(0, 3, 1, 2).contiguous().float().div_(255)
    mean, std = (torch.tensor(values, device=images.device)[:, None, None] for values in (cifar10.MEAN, cifar10.STD))
    return (shares - mean) / std


def norm(channels: int) -> nn.BatchNorm2d:
    made = nn.BatchNorm2d(channels, eps=1e-12, momentum=0.4)
    made.weight.requires_grad_(False)
    return made


def conv(inputs: int, outputs: int) -> nn.Conv2d:
    made = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
    nn.init.dirac_(made.weight.data[:inputs])
    return made


class Scaled(nn.Linear):
    """The last layer, whose outputs are divided by 9."""

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input) / 9


def build(images: Tensor) -> nn.Sequential:
    """The network, with its first layer whitened on 5,000 images."""
    first = nn.Conv2d(3, FILTERS, 2)
    patches = F.unfold(images[:5000], 2).transpose(1, 2).reshape(-1, FILTERS // 2)
    values, vectors = torch.linalg.eigh(torch.cov(patches.T))
    scaled = (vectors / (values + 5e-4).sqrt()).T.flip(0).reshape(-1, 3, 2, 2)
    first.weight = nn.Parameter(torch.cat([scaled, -scaled]), requires_grad=False)
    layers: list[nn.Module] = [first, nn.GELU()]
    inputs = FILTERS
    for width in WIDTHS:
        layers += [conv(inputs, width), nn.MaxPool2d(2), norm(width), nn.GELU()]
        layers += [conv(width, width), norm(width), nn.GELU()]
        inputs = width
    return nn.Sequential(*layers, nn.MaxPool2d(3), nn.Flatten(), Scaled(inputs, 10, bias=False))


class Training:
    """The training, step by step."""

    def __init__(self, folder: Path, layout: str, seed: int) -> None:
        torch.manual_seed(seed)
        self.images, self.labels = read(folder, cifar10.TRAINING)
        self.format = getattr(torch, layout)
        self.model = build(self.images).to(memory_format=self.format).train()  # pyright: ignore[reportCallIssue]
        self.per_epoch = len(self.images) // BATCH
        self.length, self.step, self.seed = math.ceil(EPOCHS * self.per_epoch), 0, seed
        self._optimize(1.0)

    def _optimize(self, scale: float) -> None:
        """Set the optimizer up, for a loss that is multiplied by `scale`."""
        self.scale, rate = scale, RATE / scale
        biases = [module.bias for module in self.model if isinstance(module, nn.BatchNorm2d)]
        known = set(biases)
        others = [each for each in self.model.parameters() if each.requires_grad and each not in known]
        groups = [
            {"params": biases, "lr": rate * BIAS_RATE, "weight_decay": DECAY / (rate * BIAS_RATE)},
            {"params": others, "lr": rate, "weight_decay": DECAY / rate},
        ]
        self.optimizer = torch.optim.SGD(groups, lr=rate, momentum=MOMENTUM, nesterov=True)
        self.base = [group["lr"] for group in self.optimizer.param_groups]
        self.slow = [value.detach().clone() for value in self.model.state_dict().values()]

    def advance(self) -> None:
        """Make one step."""
        images, labels = self._batch()
        factor = float(np.interp(self.step, [0, int(0.23 * self.length), self.length], [0.2, 1.0, 0.07]))
        for group, base in zip(self.optimizer.param_groups, self.base, strict=True):
            group["lr"] = base * factor
        if self.step == 3 * self.per_epoch:
            self.model[0].bias.requires_grad_(False)
        loss = F.cross_entropy(self.model(images), labels, label_smoothing=SMOOTHING)
        self.optimizer.zero_grad(set_to_none=True)
        (loss * self.scale).backward()
        self.optimizer.step()
        self.step += 1
        if self.step % 5 == 0 or self.step == self.length:
            self._look_ahead(1.0 if self.step == self.length else 0.95**5 * (self.step / self.length) ** 3)

    def _look_ahead(self, kept: float) -> None:
        """Slow weights go the share 1 - kept of the way to the present ones; the end is at the slow ones."""
        with torch.no_grad():
            for slow, fast in zip(self.slow, self.model.state_dict().values(), strict=True):
                if slow.is_floating_point():
                    slow.lerp_(fast, 1 - kept)
                    fast.copy_(slow)

    def _batch(self) -> tuple[Tensor, Tensor]:
        """Flipped at random in the first epoch, then alternately; shifted with a reflected border."""
        epoch, place = divmod(self.step, self.per_epoch)
        order = torch.randperm(len(self.images), generator=torch.Generator().manual_seed(1000 * self.seed + epoch))
        chosen = order[place * BATCH : (place + 1) * BATCH]
        images = self.images[chosen]
        first = torch.rand(len(self.images), generator=torch.Generator().manual_seed(self.seed))[chosen] < 0.5
        flipped = torch.where((first ^ bool(epoch % 2))[:, None, None, None], images.flip(3), images)
        padded = F.pad(flipped, (SHIFT,) * 4, mode="reflect")
        draws = torch.Generator().manual_seed(10_000 * self.seed + self.step)
        moved = torch.empty_like(images)
        offsets = torch.randint(2 * SHIFT + 1, (2, len(images)), generator=draws)
        for y in range(2 * SHIFT + 1):
            for x in range(2 * SHIFT + 1):
                here = (offsets[0] == y) & (offsets[1] == x)
                moved[here] = padded[here, :, y : y + 32, x : x + 32]
        return moved.contiguous(memory_format=self.format), self.labels[chosen]

    @torch.inference_mode()
    def accuracy(self, images: Tensor, labels: Tensor) -> float:
        """On normalized images, in six views."""
        self.model.eval()

        def both(seen: Tensor) -> Tensor:
            return 0.5 * (self.model(seen) + self.model(seen.flip(3)))

        correct = 0
        for seen, wanted in zip(images.split(1000), labels.split(1000), strict=True):
            padded = F.pad(seen, (1,) * 4, mode="reflect")
            moved = both(padded[:, :, :32, :32]) + both(padded[:, :, 2:, 2:])
            correct += int(((0.5 * both(seen) + 0.25 * moved).argmax(1) == wanted).sum())
        return correct / len(labels)

    def save(self, path: Path, seconds: float) -> None:
        state = {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict(), "slow": self.slow}
        torch.save(state | {"step": self.step, "seconds": seconds}, path.with_suffix(".tmp"))
        os.replace(path.with_suffix(".tmp"), path)

    def restore(self, path: Path) -> float:
        """Continue from a file; return the seconds that the training had taken."""
        state: dict[str, Any] = torch.load(path, weights_only=True)
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.slow, self.step = state["slow"], state["step"]
        self.model[0].bias.requires_grad_(self.step <= 3 * self.per_epoch)
        return state["seconds"]


def whole(training: Training, folder: Path, path: Path) -> dict[str, float]:
    """Train to the end, saving after each epoch."""
    seconds = training.restore(path) if path.exists() else 0.0
    while training.step < training.length:
        started = time.perf_counter()
        training.advance()
        seconds += time.perf_counter() - started
        if training.step % training.per_epoch == 0 or training.step == training.length:
            training.save(path, seconds)
    return {"seconds": seconds, "accuracy": training.accuracy(*read(folder, ["test_batch"]))}


def main() -> None:
    folder, layout, *rest = sys.argv[1:]
    training = Training(Path(folder), layout, int(rest[1]) if rest else 0)
    if rest:
        print(json.dumps(whole(training, Path(folder), Path(rest[0]))))
        return
    training.advance()
    told = {"images": SLICE * BATCH, "steps": training.length}
    stand(lambda: [training.advance() for _ in range(SLICE)], lambda: told)


if __name__ == "__main__":
    main()
