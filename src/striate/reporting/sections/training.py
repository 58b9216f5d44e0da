"""How the training went: two charts, and what they say in words."""

from __future__ import annotations

import math

from striate.reporting.charts.curves import Axis, Line, curves
from striate.reporting.charts.scale import ticks
from striate.reporting.history import History, Point, overfitting, read_history
from striate.reporting.markup import Child, Html, h
from striate.reporting.material import RunMaterial
from striate.reporting.numerals import percent
from striate.reporting.page import Section


def training(material: RunMaterial) -> Section | None:
    """Loss and accuracy over the epochs, the kept epoch marked, over-fitting named."""
    history = read_history(material.events)
    if not history.training_loss and not history.validation_loss:
        return None
    charts = [chart for chart in (_loss(history), _accuracy(history), _rate(history)) if chart]
    return Section("learning", "How it learned", _words(history), h("div", charts, class_="charts"))


def _words(history: History) -> list[Child]:
    said: list[Child] = []
    if history.best_epoch is not None:
        kept = f"The weights kept are those of epoch {history.best_epoch:g}"
        said.append(h("p", f"{kept} of {history.epochs:g}." if history.epochs != 1 else "There was only one epoch."))
    found = overfitting(history)
    if not history.validation_loss:
        said.append(h("p", "There was no validation part, so over-fitting would not have been seen."))
    elif len(history.validation_loss) < 3:
        said.append(h("p", "Too few evaluations to speak of a course."))
    elif found:
        epoch, rise = found
        said.append(h(
            "p", h("b", "Over-fitting from about "), h("b", f"epoch {epoch:g} on"),
            f": the validation loss ended {percent(rise, 0)} above its lowest, while the training loss fell on.",
            class_="warning",
        ))  # fmt: skip
    else:
        said.append(h("p", "No over-fitting: the validation loss ended at or near its lowest."))
    if history.reason:
        said.append(h("p", f"It ended because: {history.reason}."))
    return said


def _figure(title: str, lines: list[Line], axis: Axis, best: float | None) -> Html:
    keys = [h("span", h("i", class_=f"key {line.style}"), line.name) for line in lines if line.points]
    return h(
        "figure", h("figcaption", h("b", title), h("span", keys, class_="keys")),
        curves(lines, axis, title=f"{title} over epochs", best=best),
    )  # fmt: skip


def _loss(history: History) -> Html:
    lines = [Line("training", "train", history.training_loss), Line("validation", "val", history.validation_loss)]
    values = [y for line in lines for _, y in line.points if y > 0]
    low, high = min(values, default=0.1), max(values, default=1.0)
    spread = high / low > 20
    axis = (
        Axis(lambda y: f"{y:g}" if y < 100 else f"{y:.0f}", low / 1.15, high * 1.15, logarithmic=True)
        if spread
        else Axis(lambda y: f"{y:.3g}", 0.0, high * 1.05)
    )
    return _figure("Loss" + (" (logarithmic)" if spread else ""), lines, axis, history.best_epoch)


def _accuracy(history: History) -> Html | None:
    points = history.validation_accuracy
    if not points:
        return None
    low, high = _around([y for _, y in points])
    step = ticks(low, high)
    digits = max(0, -math.floor(math.log10(100 * (step[1] - step[0])) + 1e-9)) if len(step) > 1 else 1
    axis = Axis(lambda y: f"{100 * y:.{digits}f} %", low, high)
    return _figure("Validation accuracy", [Line("validation", "val", points)], axis, history.best_epoch)


def _around(values: list[float]) -> tuple[float, float]:
    """A range that shows the differences: from a little below the lowest to the top."""
    low, high = min(values), max(values)
    room = max(0.25 * (high - low), 0.005)
    return max(0.0, low - room), min(1.0, high + room)


def _rate(history: History) -> Html | None:
    points: tuple[Point, ...] = history.learning_rate
    if len({y for _, y in points}) < 2:
        return None
    axis = Axis(lambda y: f"{y:.3g}", 0.0, max(y for _, y in points) * 1.05)
    return _figure("Learning rate", [Line("learning rate", "rate", points)], axis, None)
