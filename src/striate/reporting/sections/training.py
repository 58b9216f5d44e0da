"""The course of a training, read from its events: charts, and sentences about them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from striate.reporting.charts.curves import Axis, Line, curves, ticks
from striate.reporting.html import Child, Html, h
from striate.reporting.material import RunMaterial
from striate.reporting.numbers import percent
from striate.reporting.page import Section

OVERFITTING_RISE = 0.1
"""Rise of the validation loss above its lowest value, relative to it, that is reported as overfitting."""

Point = tuple[float, float]


@dataclass(frozen=True)
class History:
    """Curves over epochs; `epochs` is the length of the run."""

    training_loss: tuple[Point, ...]
    validation_loss: tuple[Point, ...]
    validation_accuracy: tuple[Point, ...]
    learning_rate: tuple[Point, ...]
    epochs: float
    validation_balanced: tuple[Point, ...] = ()


def read_history(events: Sequence[Mapping[str, Any]]) -> History:
    """Read curves from the events `step` and `evaluated`; ignore other events."""
    relevant = [event for event in events if event["event"] in ("step", "evaluated")]
    per_epoch = _steps_per_epoch([event["clock"] for event in relevant])
    places = [(event["clock"]["step"] / per_epoch, event) for event in relevant]
    steps = [(x, event) for x, event in places if event["event"] == "step"]
    scored = [(x, event["scores"]) for x, event in places if event["event"] == "evaluated"]
    return History(
        training_loss=tuple((x, event["loss"]) for x, event in steps),
        validation_loss=tuple((x, scores["loss"]) for x, scores in scored if "loss" in scores),
        validation_accuracy=tuple((x, scores["accuracy"]) for x, scores in scored if "accuracy" in scores),
        learning_rate=tuple((x, event["lr"]) for x, event in steps),
        epochs=max((x for x, _ in places), default=0.0),
        validation_balanced=tuple(
            (x, scores["balanced_accuracy"]) for x, scores in scored if "balanced_accuracy" in scores
        ),
    )


def _steps_per_epoch(clocks: Sequence[Mapping[str, int]]) -> float:
    """Return the steps of an epoch: step / epoch is exact at the end of an epoch, and larger elsewhere.

    A run that ended within its first epoch is drawn as one epoch.
    """
    ratios = [clock["step"] / clock["epoch"] for clock in clocks if clock["epoch"]]
    return min(ratios) if ratios else float(max((clock["step"] for clock in clocks), default=1))


def overfitting(history: History) -> tuple[float, float] | None:
    """Return (the epoch after which the validation loss rose, its relative rise) if the run overfits, else None.

    A run overfits if the validation loss ends more than `OVERFITTING_RISE` above its lowest value while the training
    loss kept falling. Medians of neighbouring evaluations are compared (a fifth of all, at least three) against noise.
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


def training(material: RunMaterial) -> Section | None:
    """Show loss, accuracy and learning rate over the epochs; mark the best epoch and report overfitting."""
    history = read_history(material.events)
    if not history.training_loss and not history.validation_loss:
        return None
    best = _best_epoch(material, history)
    charts = [chart for chart in (_loss(history, best), _accuracy(history, best), _rate(history)) if chart]
    return Section("training", "Training", _words(material, history, best), h("div", charts, class_="charts"))


def _best_epoch(material: RunMaterial, history: History) -> float | None:
    """Return the best epoch of the run; if it is not recorded, the first of the highest validation accuracy."""
    if material.best_epoch is not None:
        return material.best_epoch
    return max(history.validation_accuracy, key=lambda point: point[1], default=(None,))[0]


def _words(material: RunMaterial, history: History, best: float | None) -> list[Child]:
    said: list[Child] = []
    if history.epochs == 1:
        said.append(h("p", "The run has one epoch."))
    elif best is not None:
        kept = best if material.kept_epoch is None else material.kept_epoch
        also = "" if kept == best else f" The best evaluation was after epoch {best:g}."
        said.append(h("p", f"The kept weights are those of epoch {kept:g} of {history.epochs:.4g}.{also}"))
    if material.selected and history.epochs > 1:
        said.append(h("p", "The epoch was chosen on these validation images, so their scores are optimistic."))
    said.append(_overfitting(history))
    if short := _memory(material.events):
        said.append(h("p", short))
    if material.reason:
        said.append(h("p", f"End of training: {material.reason}."))
    return said


def _memory(events: Sequence[Mapping[str, Any]]) -> str:
    """Say from when on batches were computed in pieces, if memory was short for them."""
    divided = [event for event in events if event["event"] == "memory_short"]
    if not divided:
        return ""
    steps = ", ".join(f"{event['micro_batch']} from step {event['clock']['step']} on" for event in divided)
    return f"Memory was short for a batch: the images computed at once were at most {steps}."


def _overfitting(history: History) -> Html:
    found = overfitting(history)
    if found:
        epoch, rise = found
        rose = f"the validation loss ended {percent(rise, 0)} above its lowest value while the training loss fell."
        return h("p", h("b", f"Overfitting after about epoch {epoch:.3g}"), f": {rose}", class_="warning")
    if not history.validation_loss:
        return h("p", "Without a validation split, overfitting cannot be detected.")
    if len(history.validation_loss) < 3:
        return h("p", "There are too few evaluations to detect overfitting.")
    return h("p", "The validation loss ended at or near its lowest value.")


def _figure(title: str, lines: list[Line], axis: Axis, best: float | None) -> Html:
    keys = [h("span", h("i", class_=f"key {line.style}"), line.name) for line in lines if line.points]
    return h(
        "figure", h("figcaption", h("b", title), h("span", keys, class_="keys")),
        curves(lines, axis, title=f"{title} over epochs", best=best),
    )  # fmt: skip


def _loss(history: History, best: float | None) -> Html:
    lines = [Line("training", "train", history.training_loss), Line("validation", "val", history.validation_loss)]
    values = [y for line in lines for _, y in line.points if y > 0]
    low, high = min(values, default=0.1), max(values, default=1.0)
    spread = high / low > 20
    axis = (
        Axis(lambda y: f"{y:g}" if y < 100 else f"{y:.0f}", low / 1.15, high * 1.15, logarithmic=True)
        if spread
        else Axis(lambda y: f"{y:.3g}", 0.0, high * 1.05)
    )
    return _figure("Loss" + (" (logarithmic)" if spread else ""), lines, axis, best)


def _accuracy(history: History, best: float | None) -> Html | None:
    points, balanced = history.validation_accuracy, history.validation_balanced
    if not points:
        return None
    low, high = _around([y for _, y in points + balanced])
    step = ticks(low, high)
    digits = max(0, -math.floor(math.log10(100 * (step[1] - step[0])) + 1e-9)) if len(step) > 1 else 1
    axis = Axis(lambda y: f"{100 * y:.{digits}f} %", low, high)
    lines = [Line("balanced", "val", balanced), Line("accuracy", "train", points)]
    return _figure("Validation accuracy", lines if balanced else [Line("validation", "val", points)], axis, best)


def _around(values: list[float]) -> tuple[float, float]:
    """Return a range around `values` in which their differences can be seen."""
    low, high = min(values), max(values)
    room = max(0.25 * (high - low), 0.005)
    return max(0.0, low - room), min(1.0, high + room)


def _rate(history: History) -> Html | None:
    points: tuple[Point, ...] = history.learning_rate
    if len({y for _, y in points}) < 2:
        return None
    axis = Axis(lambda y: f"{y:.3g}", 0.0, max(y for _, y in points) * 1.05)
    return _figure("Learning rate", [Line("learning rate", "rate", points)], axis, None)
