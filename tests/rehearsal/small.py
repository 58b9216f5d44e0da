"""A training small enough to be watched step by step: batches made on the spot, a network of a few weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn

from striate.core.batch import Batch
from striate.core.device import ExecutionPlan
from striate.core.duration import Clock, Duration
from striate.tasks import Classification
from striate.training import TrainState
from striate.training.optimizers import SGD
from striate.training.schedules import Constant


class MadeBatches:
    """`count` batches in an epoch, each a function of (epoch, place); keeps lists of those requested and released."""

    def __init__(self, count: int = 5, *, spoiled: tuple[int, int] | None = None) -> None:
        self.count, self.spoiled = count, spoiled
        self.given: list[tuple[int, int]] = []
        self.released = 0

    def __len__(self) -> int:
        return self.count

    def epoch(self, epoch: int, *, start: int = 0) -> Iterator[Batch]:
        try:
            for place in range(start, self.count):
                self.given.append((epoch, place))
                generator = torch.Generator().manual_seed(1000 * epoch + place)
                images = torch.randn(4, 2, 6, 6, generator=generator)
                if (epoch, place) == self.spoiled:
                    images[0, 0, 0, 0] = float("nan")
                yield Batch(images, torch.randint(3, (4,), generator=generator), torch.arange(4) + 4 * place)
        finally:
            self.released += 1


def make_model(dropout: float = 0.5) -> nn.Sequential:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        return nn.Sequential(
            nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(dropout), nn.Flatten(), nn.Linear(64, 3)
        )


class WithAuxiliary(nn.Module):
    """`stem`, then `main`; parallel to `main` a second classifier that reads the stem's map too."""

    auxiliary_heads: Mapping[str, str] = MappingProxyType({"early": "early"})

    def __init__(self, stem: nn.Module, main: nn.Module, early: nn.Module) -> None:
        super().__init__()
        self.stem, self.main, self.early = stem, main, early

    def forward(self, x: Tensor) -> Tensor:
        return self.main(self.stem(x))

    def forward_with_auxiliary(self, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        stem = self.stem(x)
        return self.main(stem), {"early": self.early(stem)}


def make_state(model: nn.Module | None = None, *, count: int = 5, lr: float = 0.05, **changes: Any) -> TrainState:
    """Nesterov's momentum at a constant rate, unless `changes` say otherwise."""
    model = make_model() if model is None else model
    parts: dict[str, Any] = {
        "optimizer": SGD(lr=lr, momentum=0.9, nesterov=True).create(model),
        "schedule": Constant().over(Duration.parse("3ep")),
        "task": Classification(),
        "clock": Clock(count),
        "plan": ExecutionPlan(threads=1),
    }
    return TrainState(model=model, **(parts | changes))


def weights(model: nn.Module) -> torch.Tensor:
    """All numbers of a network in one row, buffers too."""
    return torch.cat([value.detach().double().reshape(-1) for value in model.state_dict().values()])
