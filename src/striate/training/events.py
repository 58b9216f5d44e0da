"""What a training tells while it goes: read it with a `for`, stop it with a `break`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from striate.core.duration import Clock


@dataclass(frozen=True)
class StepDone:
    """One update has been made, on a batch whose loss before it was `loss`, with this learning rate."""

    clock: Clock
    loss: float
    learning_rate: float


@dataclass(frozen=True)
class Evaluated:
    """The network as it is at `clock` has been judged."""

    clock: Clock
    scores: Mapping[str, float]


@dataclass(frozen=True)
class SafePoint:
    """No event is owed: here a training may be stopped or saved and nothing is lost or told twice."""

    clock: Clock


Event = StepDone | Evaluated | SafePoint
