"""The course of a training, read from its events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

OVERFITTING_RISE = 0.05
"""By what share of its best value the validation loss must rise before it is called over-fitting."""

Point = tuple[float, float]


@dataclass(frozen=True)
class History:
    """Curves over epochs. `best_epoch` is where the weights that were kept come from, `reason` why the run ended."""

    training_loss: tuple[Point, ...]
    validation_loss: tuple[Point, ...]
    validation_accuracy: tuple[Point, ...]
    learning_rate: tuple[Point, ...]
    best_epoch: float | None
    reason: str | None

    @property
    def epochs(self) -> float:
        """How many epochs the run lasted."""
        return max((curve[-1][0] for curve in self._curves if curve), default=0.0)

    @property
    def _curves(self) -> tuple[tuple[Point, ...], ...]:
        return self.training_loss, self.validation_loss, self.validation_accuracy, self.learning_rate


def read_history(events: Sequence[Mapping[str, Any]]) -> History:
    """Curves from the events `step`, `evaluated`, and `finished` or `stopped`; other events are passed over."""
    per_epoch = _steps_per_epoch(events)
    steps = [(event["clock"]["step"] / per_epoch, event) for event in events if event["event"] == "step"]
    scored = [
        (event["clock"]["step"] / per_epoch, event["scores"]) for event in events if event["event"] == "evaluated"
    ]
    ends = [event for event in events if event["event"] in ("finished", "stopped")]
    end = ends[-1] if ends else {}
    accuracy = tuple((x, scores["accuracy"]) for x, scores in scored if "accuracy" in scores)
    return History(
        training_loss=tuple((x, event["loss"]) for x, event in steps),
        validation_loss=tuple((x, scores["loss"]) for x, scores in scored if "loss" in scores),
        validation_accuracy=accuracy,
        learning_rate=tuple((x, event["lr"]) for x, event in steps if "lr" in event),
        best_epoch=end.get("best_epoch") or (max(accuracy, key=lambda point: point[1])[0] if accuracy else None),
        reason=end.get("reason"),
    )


def _steps_per_epoch(events: Sequence[Mapping[str, Any]]) -> float:
    """From the event that says it, else from a clock that stands at the end of an epoch."""
    for event in events:
        for place in (event, event.get("clock", {})):
            if "steps_per_epoch" in place:
                return place["steps_per_epoch"]
    scored = [event["clock"] for event in events if event["event"] == "evaluated" and event["clock"]["epoch"]]
    return scored[0]["step"] / scored[0]["epoch"] if scored else 1.0


def overfitting(history: History) -> tuple[float, float] | None:
    """(the epoch from which the validation loss rose, the share by which it rose), where that is over-fitting.

    Over-fitting is: the validation loss ends clearly above its lowest while the training loss went on falling. Medians
    of three evaluations in a row are compared, so that one lucky or unlucky evaluation decides nothing.
    """
    losses = history.validation_loss
    steady = [(losses[k + 1][0], median(y for _, y in losses[k : k + 3])) for k in range(len(losses) - 2)]
    if not steady:
        return None
    turn, lowest = min(steady, key=lambda point: point[1])
    rise = steady[-1][1] / lowest - 1 if lowest > 0 else 0.0
    before = [loss for x, loss in history.training_loss if x <= turn]
    fell_on = bool(before) and history.training_loss[-1][1] < before[-1]
    return (turn, rise) if rise > OVERFITTING_RISE and fell_on else None
