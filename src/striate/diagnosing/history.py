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

    `chance` is the loss of a constant answer: ln k for k classes where the loss is the cross-entropy of single labels,
    and so bounds the number of mistakes; the entropies of the frequencies of the classes, summed, where it is the
    binary cross-entropy of images that may have several; None for other losses. `validated` is the number of validation
    images. `validation_precision` is the mean average precision, where an image may have several classes.
    """

    training_loss: tuple[Point, ...]
    validation_loss: tuple[Point, ...]
    validation_accuracy: tuple[Point, ...]
    learning_rate: tuple[Point, ...]
    epochs: float
    validation_balanced: tuple[Point, ...] = ()
    chance: float | None = None
    validated: int | None = None
    validation_precision: tuple[Point, ...] = ()


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
        validation_loss=_curve(scored, "loss"),
        validation_accuracy=_curve(scored, "accuracy"),
        learning_rate=tuple((x, event["lr"]) for x, event in steps),
        epochs=max((x for x, _ in places), default=0.0),
        validation_balanced=_curve(scored, "balanced_accuracy"),
        validation_precision=_curve(scored, "mean_average_precision"),
        chance=_chance(started),
        validated=started.get("counts", {}).get("val"),
    )


def _curve(scored: Sequence[tuple[float, Mapping[str, float]]], name: str) -> tuple[Point, ...]:
    return tuple((x, scores[name]) for x, scores in scored if name in scores)


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
    if loss.get("class_balance") or recipe.get("sampling", {}).get("name", "shuffled") != "shuffled":
        return None
    kind = recipe.get("task", {}).get("name"), loss.get("name")
    if kind == ("classification", "cross_entropy"):
        return math.log(len(classes)) if len(classes) > 1 else None
    counts, images = started.get("class_counts"), started.get("counts", {}).get("train")
    if kind != ("multilabel", "binary_cross_entropy") or not counts or not images:
        return None
    smoothing = loss.get("label_smoothing", 0.0)
    return sum(_entropy((1 - smoothing) * having / images + smoothing / 2) for having in counts) or None


def _entropy(probability: float) -> float:
    return -sum(p * math.log(p) for p in (probability, 1 - probability) if p > 0)
