"""The course of a training, read from its events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

OVERFITTING_RISE = 0.1
"""By what share of its lowest value the validation loss must rise before it is called over-fitting."""

Point = tuple[float, float]


@dataclass(frozen=True)
class History:
    """Curves over epochs, and `epochs`, how many the run lasted."""

    training_loss: tuple[Point, ...]
    validation_loss: tuple[Point, ...]
    validation_accuracy: tuple[Point, ...]
    learning_rate: tuple[Point, ...]
    epochs: float


def read_history(events: Sequence[Mapping[str, Any]]) -> History:
    """Curves from the events `step` and `evaluated`; other events are passed over."""
    told = [event for event in events if event["event"] in ("step", "evaluated")]
    per_epoch = _steps_per_epoch([event["clock"] for event in told])
    places = [(event["clock"]["step"] / per_epoch, event) for event in told]
    steps = [(x, event) for x, event in places if event["event"] == "step"]
    scored = [(x, event["scores"]) for x, event in places if event["event"] == "evaluated"]
    return History(
        training_loss=tuple((x, event["loss"]) for x, event in steps),
        validation_loss=tuple((x, scores["loss"]) for x, scores in scored if "loss" in scores),
        validation_accuracy=tuple((x, scores["accuracy"]) for x, scores in scored if "accuracy" in scores),
        learning_rate=tuple((x, event["lr"]) for x, event in steps),
        epochs=max((x for x, _ in places), default=0.0),
    )


def _steps_per_epoch(clocks: Sequence[Mapping[str, int]]) -> float:
    """Where an epoch ends a step is told, and there step / epoch is exact; elsewhere it is larger.

    A run that ended within its first epoch is drawn as that one epoch.
    """
    ratios = [clock["step"] / clock["epoch"] for clock in clocks if clock["epoch"]]
    return min(ratios) if ratios else float(max((clock["step"] for clock in clocks), default=1))


def overfitting(history: History) -> tuple[float, float] | None:
    """(the epoch from which the validation loss rose, the share by which it rose), where that is over-fitting.

    Over-fitting is: the validation loss ends clearly above its lowest while the training loss went on falling. Medians
    of neighbouring evaluations are compared (a fifth of all, three at least), so that chance decides nothing.
    """
    losses = history.validation_loss
    width = max(3, len(losses) // 5)
    steady = [
        (losses[k + width // 2][0], median(y for _, y in losses[k : k + width])) for k in range(len(losses) - width + 1)
    ]
    if not steady:
        return None
    turn, lowest = min(reversed(steady), key=lambda point: point[1])
    rise = steady[-1][1] / lowest - 1 if lowest > 0 else 0.0
    before = [loss for x, loss in history.training_loss if x <= turn]
    fell_on = bool(before) and history.training_loss[-1][1] < before[-1]
    return (turn, rise) if rise > OVERFITTING_RISE and fell_on else None
