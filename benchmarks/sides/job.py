"""The job that all sides of the throughput benchmark do, and the answer that each of them prints."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Job:
    """Train LeNet-5 on MNIST by SGD with Nesterov's momentum at a constant rate; judge `held_out` images each epoch.

    Of the 60,000 training images, the peers hold out the last ones, Striate as many chosen by content. `images`
    bounds what the peers read, for a trial of their settings. `options` are a side's own: a number of workers, a
    memory layout.
    """

    data: str
    epochs: int
    images: int = 60_000
    held_out: int = 5_000
    batch_size: int = 128
    lr: float = 0.01
    momentum: float = 0.9
    seed: int = 0
    options: dict[str, Any] = field(default_factory=dict)

    def to_argument(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_argument(cls) -> Job:
        return cls(**json.loads(sys.argv[1]))


class Stopwatch:
    """Notes when each epoch ended, in seconds since the side had imported what it needs."""

    def __init__(self) -> None:
        self._start = time.perf_counter()
        self._epoch_ends: list[float] = []

    def epoch_ended(self) -> None:
        self._epoch_ends.append(time.perf_counter() - self._start)

    def answer(self, *, images: int, losses: list[float], accuracies: list[float], **more: object) -> None:
        """Print the side's answer.

        `images` learnt from in one epoch; `losses` of training (the mean of an epoch's steps, as it went) and
        `accuracies` on the held-out images, one number for each epoch.
        """
        told = {"images": images, "losses": losses, "accuracies": accuracies}
        print(json.dumps(told | {"epoch_ends": self._epoch_ends} | more))
