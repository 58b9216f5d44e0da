"""The course of a training, read from its events: charts, and sentences about them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from striate.diagnosing import History, Point, last_clock, overfitting, read_history, steady_rise
from striate.diagnosing.thresholds import RISE
from striate.reporting.charts.curves import Axis, Line, curves, ticks
from striate.reporting.html import Child, Html, h
from striate.reporting.material import RunMaterial
from striate.reporting.numbers import percent
from striate.reporting.page import Section


def training(material: RunMaterial) -> Section | None:
    """Show loss, accuracy and learning rate over the epochs; mark the best epoch and report overfitting."""
    history = read_history(material.events)
    if not history.training_loss and not history.validation_loss:
        return None
    best = _best_epoch(material, history)
    charts = [chart for chart in (_loss(history, best), _accuracy(history, best), _rate(history)) if chart]
    return Section("training", "Training", _words(material, history, best), h("div", charts, class_="charts"))


def _best_epoch(material: RunMaterial, history: History) -> float | None:
    """Return the epoch of the run's best evaluation; without a record of it, the first of the highest accuracy."""
    step = next((event["best_step"] for event in material.events if event["event"] == "finished"), None)
    if step is not None:
        return step / last_clock(material.events).steps_per_epoch
    return max(history.validation_accuracy, key=lambda point: point[1], default=(None,))[0]


def _words(material: RunMaterial, history: History, best: float | None) -> list[Child]:
    said: list[Child] = []
    kept = best if material.kept_epoch is None else material.kept_epoch
    if history.epochs == 1 and kept in (None, 1):
        said.append(h("p", "The run has one epoch."))
    elif best is not None:
        also = "" if kept == best else f" The best evaluation was after epoch {best:.4g}."
        said.append(h("p", f"The kept weights are those of epoch {kept:.4g} of {history.epochs:.4g}.{also}"))
    if material.selected and len(history.validation_loss) > 1:
        said.append(h("p", "The epoch was chosen on these validation images, so their scores are optimistic."))
    said.append(_overfitting(history))
    if short := _memory(material.events):
        said.append(h("p", short))
    if material.reason:
        said.append(h("p", f"End of training: {material.reason}."))
    return said


def _memory(events: Sequence[Mapping[str, Any]]) -> str:
    """Return the steps from which batches were computed in pieces because memory was short; empty if it never was."""
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
    losses = [loss for _, loss in history.validation_loss]
    if not losses:
        return h("p", "Without a validation split, overfitting cannot be detected.")
    if len(losses) < 3:
        return h("p", "There are too few evaluations to detect overfitting.")
    if losses[-1] <= (1 + RISE) * min(losses):
        return h("p", "The validation loss ended at or near its lowest value.")
    rose = f"The validation loss rose from {min(losses):.3g} to {losses[-1]:.3g}"
    if steady_rise(history):
        return h("p", f"{rose}, but the training loss did not fall meanwhile: this is not overfitting.")
    return h("p", f"{rose}; so few or so uneven evaluations do not show overfitting.")


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
    points, balanced, precision = history.validation_accuracy, history.validation_balanced, history.validation_precision
    if not points:
        return None
    if precision:
        title, lines = "Validation mean average precision", [Line("validation", "val", precision)]
    elif balanced:
        title, lines = "Validation accuracy", [Line("balanced", "val", balanced), Line("accuracy", "train", points)]
    else:
        title, lines = "Validation accuracy", [Line("validation", "val", points)]
    low, high = _around([y for line in lines for _, y in line.points])
    step = ticks(low, high)
    digits = max(0, -math.floor(math.log10(100 * (step[1] - step[0])) + 1e-9)) if len(step) > 1 else 1
    axis = Axis(lambda y: f"{100 * y:.{digits}f} %", low, high)
    return _figure(title, lines, axis, best)


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
