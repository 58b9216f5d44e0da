"""Events that the training loop yields: read them with a `for`, stop the training with a `break`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from striate.core.duration import Clock


@dataclass(frozen=True)
class StepDone:
    """One update: the loss of its batch before the update, and the learning rate."""

    clock: Clock
    loss: float
    learning_rate: float


@dataclass(frozen=True)
class Evaluated:
    """An evaluation of the model at `clock`."""

    clock: Clock
    scores: Mapping[str, float]


@dataclass(frozen=True)
class SafePoint:
    """A point where training may be stopped or saved: after resuming, no event is missing or repeated."""

    clock: Clock


Event = StepDone | Evaluated | SafePoint
