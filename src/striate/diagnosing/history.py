"""The curves of a training, read from its events."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from striate.core.duration import Clock

Point = tuple[float, float]


@dataclass(frozen=True)
class History:
    """Curves over epochs; `epochs` is the length of the run so far.

    `chance` is the loss of a constant answer, ln k for k classes, where the loss is the cross-entropy of single labels
    and so bounds the number of mistakes; None for other losses. `validated` is the number of validation images.
    """

    training_loss: tuple[Point, ...]
    validation_loss: tuple[Point, ...]
    validation_accuracy: tuple[Point, ...]
    learning_rate: tuple[Point, ...]
    epochs: float
    validation_balanced: tuple[Point, ...] = ()
    chance: float | None = None
    validated: int | None = None


def read_history(events: Sequence[Mapping[str, Any]]) -> History:
    """Read curves from the events `step` and `evaluated`, and facts from `started`; ignore other events."""
    per_epoch = last_clock(events).steps_per_epoch
    places = [
        (event["clock"]["step"] / per_epoch, event) for event in events if event["event"] in ("step", "evaluated")
    ]
    steps = [(x, event) for x, event in places if event["event"] == "step"]
    scored = [(x, event["scores"]) for x, event in places if event["event"] == "evaluated"]
    started = next((event for event in events if event["event"] == "started"), {})
    return History(
        training_loss=tuple((x, event["loss"]) for x, event in steps),
        validation_loss=tuple((x, scores["loss"]) for x, scores in scored if "loss" in scores),
        validation_accuracy=tuple((x, scores["accuracy"]) for x, scores in scored if "accuracy" in scores),
        learning_rate=tuple((x, event["lr"]) for x, event in steps),
        epochs=max((x for x, _ in places), default=0.0),
        validation_balanced=tuple(
            (x, scores["balanced_accuracy"]) for x, scores in scored if "balanced_accuracy" in scores
        ),
        chance=_chance(started),
        validated=started.get("counts", {}).get("val"),
    )


def last_clock(events: Sequence[Mapping[str, Any]]) -> Clock:
    """Return the position of a training at its last event."""
    timed = [event for event in events if "clock" in event]
    last: Mapping[str, Any] = timed[-1] if timed else {"clock": {"step": 0}}
    known = next((event["steps_per_epoch"] for event in events if "steps_per_epoch" in event), None)
    per_epoch = known or _steps_per_epoch([event["clock"] for event in timed])
    return Clock(per_epoch, last["clock"]["step"], last.get("wall", {}).get("seconds", 0.0))


def _steps_per_epoch(clocks: Sequence[Mapping[str, int]]) -> int:
    """Return the steps of an epoch for an older log: step / epoch is exact at the end of an epoch, larger elsewhere.

    A run that ended within its first epoch is taken for one epoch.
    """
    ratios = [clock["step"] // clock["epoch"] for clock in clocks if clock["epoch"]]
    return min(ratios) if ratios else max([1, *(clock["step"] for clock in clocks)])


def _chance(started: Mapping[str, Any]) -> float | None:
    recipe = started.get("recipe", {})
    loss, classes = recipe.get("loss", {}), started.get("classes", ())
    single = recipe.get("task", {}).get("name") == "classification"
    alike = not loss.get("class_balance") and recipe.get("sampling", {}).get("name", "shuffled") == "shuffled"
    plain = loss.get("name") == "cross_entropy" and alike
    return math.log(len(classes)) if single and plain and len(classes) > 1 else None
