"""Charts over an axis: curves of a training, and the reliability diagram."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from striate.metrics import Bin, Calibration
from striate.reporting.html import Html, h
from striate.reporting.numbers import percent

WIDTH, HEIGHT = 410.0, 260.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 52.0, 12.0, 24.0, 34.0
_SIDE, _RELIABILITY_LEFT, _RELIABILITY_TOP, _BARS = 300.0, 44.0, 10.0, 46.0
_RELIABILITY_HEIGHT = _RELIABILITY_TOP + _SIDE + _BARS + 42
_TICKS = 5


@dataclass(frozen=True)
class Scale:
    """Linear or logarithmic map from `low` … `high` to the coordinates `start` … `end`."""

    low: float
    high: float
    start: float
    end: float
    logarithmic: bool = False

    def __call__(self, value: float) -> float:
        """Return the coordinate of `value`."""
        low, high = self._bend(self.low), self._bend(self.high)
        fraction = (self._bend(value) - low) / (high - low) if high > low else 0.5
        return self.start + fraction * (self.end - self.start)

    def _bend(self, value: float) -> float:
        return math.log10(max(value, 1e-12)) if self.logarithmic else value


def ticks(low: float, high: float) -> list[float]:
    """Return about 5 round numbers in `low` … `high`, in steps of 1, 2 or 5 times a power of ten."""
    if high <= low:
        return [low]
    rough = (high - low) / _TICKS
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(unit * power for unit in (1, 2, 5, 10) if unit * power >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [round(i * step, 12) for i in range(first, math.floor(high / step + 1e-9) + 1)]


def logarithmic_ticks(low: float, high: float) -> list[float]:
    """Return powers of ten in `low` … `high`; with 2 and 5 times them where the range is short."""
    few = math.log10(high / low) < 2.5
    units = (1, 2, 5) if few else (1,)
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    return [value for power in powers for unit in units if low <= (value := unit * 10.0**power) <= high]


@dataclass(frozen=True)
class Line:
    """A named curve; `style` is its CSS class."""

    name: str
    style: str
    points: Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Axis:
    """The range of an axis, and the function that formats its values."""

    write: Callable[[float], str]
    low: float
    high: float
    logarithmic: bool = False


def curves(lines: Sequence[Line], axis: Axis, *, title: str, best: float | None) -> Html:
    """Draw `lines` over epochs as an SVG; mark the epoch `best`.

    A line of more than 300 points is drawn as the means of groups of neighbours.
    """
    lines = [Line(line.name, line.style, _thin(line.points)) for line in lines if line.points]
    last = max(line.points[-1][0] for line in lines)
    first = min(0.0, *(line.points[0][0] for line in lines)) if last > 1 else 0.0
    across = Scale(first, max(last, 1.0), _LEFT, WIDTH - _RIGHT)
    up = Scale(axis.low, axis.high, HEIGHT - _BOTTOM, _TOP, axis.logarithmic)
    return h(
        "svg",
        _grid(across, up, axis),
        _best_mark(best, across) if best is not None else None,
        [_draw(line, across, up, axis) for line in lines],
        viewBox=f"0 0 {WIDTH:.0f} {HEIGHT:.0f}",
        class_="chart",
        role="img",
        aria_label=title,
    )


def _thin(points: Sequence[tuple[float, float]], most: int = 300) -> list[tuple[float, float]]:
    stride = -(-len(points) // most)
    groups = [points[start : start + stride] for start in range(0, len(points), stride)]
    return [(group[-1][0], sum(y for _, y in group) / len(group)) for group in groups]


def _grid(across: Scale, up: Scale, axis: Axis) -> list[Html]:
    levels = logarithmic_ticks(axis.low, axis.high) if axis.logarithmic else ticks(axis.low, axis.high)
    parts = []
    for level in levels:
        y = up(level)
        parts.append(h("line", x1=_LEFT, x2=WIDTH - _RIGHT, y1=y, y2=y, class_="grid"))
        parts.append(h("text", axis.write(level), x=_LEFT - 7, y=y + 4, text_anchor="end"))
    for epoch in (tick for tick in ticks(across.low, across.high) if tick == int(tick)):
        parts.append(h("text", f"{epoch:.0f}", x=across(epoch), y=HEIGHT - _BOTTOM + 17, text_anchor="middle"))
    middle = (across.start + across.end) / 2
    parts.append(h("text", "epoch", x=middle, y=HEIGHT - 2, text_anchor="middle", class_="unit"))
    return parts


def _best_mark(best: float, across: Scale) -> list[Html]:
    x = across(best)
    late = x > (across.start + across.end) / 2
    return [
        h("line", x1=x, x2=x, y1=_TOP, y2=HEIGHT - _BOTTOM, class_="best"),
        h("text", f"best: {best:.4g}", x=x + 4 if late else x - 4, y=_TOP - 8, class_="best-label",
          text_anchor="end" if late else "start"),
    ]  # fmt: skip


def _draw(line: Line, across: Scale, up: Scale, axis: Axis) -> list[Html]:
    """Draw the line, with dots to hover over where there are at most 120."""
    places = [(across(x), up(min(max(y, axis.low), axis.high)), x, y) for x, y in line.points]
    path = " ".join(f"{px:.1f},{py:.1f}" for px, py, _, _ in places)
    parts = [h("polyline", points=path, class_=f"line {line.style}")]
    if len(places) <= 120:
        small = 3.0 if len(places) <= 40 else 1.5
        parts += [
            h("circle", h("title", f"{line.name}, epoch {x:g}: {axis.write(y)}"), cx=px, cy=py, r=small,
              class_=f"dot {line.style}")
            for px, py, x, y in places
        ]  # fmt: skip
    return parts


def reliability(as_trained: Calibration, calibrated: Calibration | None) -> Html:
    """Draw accuracy over confidence as an SVG, as trained and after the fitted temperature.

    The diagonal is perfect calibration. Whiskers are Wilson's 95 % intervals; the strip below counts the answers.
    """
    x = Scale(0.0, 1.0, _RELIABILITY_LEFT, _RELIABILITY_LEFT + _SIDE)
    y = Scale(0.0, 1.0, _RELIABILITY_TOP + _SIDE, _RELIABILITY_TOP)
    shown = [(as_trained, "before")] + ([(calibrated, "after")] if calibrated else [])
    return h(
        "svg",
        [_level(tick, x, y) for tick in ticks(0.0, 1.0)],
        h("line", x1=x(0.0), y1=y(0.0), x2=x(1.0), y2=y(1.0), class_="diagonal"),
        [_points(measured, style, x, y) for measured, style in shown],
        _counts(calibrated or as_trained, x),
        h("text", "confidence", x=x(0.5), y=_RELIABILITY_HEIGHT - 2, text_anchor="middle", class_="unit"),
        h("text", "accuracy", x=_RELIABILITY_LEFT + 5, y=_RELIABILITY_TOP + 10, class_="unit"),
        viewBox=f"0 0 {_RELIABILITY_LEFT + _SIDE + 12:.0f} {_RELIABILITY_HEIGHT:.0f}",
        class_="chart reliability",
        role="img",
        aria_label="Reliability diagram",
    )


def _level(fraction: float, x: Scale, y: Scale) -> list[Html]:
    text = f"{100 * fraction:.0f}"
    return [
        h("line", x1=x(0.0), x2=x(1.0), y1=y(fraction), y2=y(fraction), class_="grid"),
        h("text", text, x=_RELIABILITY_LEFT - 7, y=y(fraction) + 4, text_anchor="end"),
        h("text", text, x=x(fraction), y=_RELIABILITY_TOP + _SIDE + _BARS + 22, text_anchor="middle"),
    ]


def _points(measured: Calibration, style: str, x: Scale, y: Scale) -> Html:
    """Draw a dot for each bin with answers; its area grows with their number."""
    most = max(b.right.count for b in measured.bins)
    filled = [b for b in measured.bins if b.right.count]
    return h("g", [_point(b, 2.0 + 5.0 * math.sqrt(b.right.count / most), x, y) for b in filled], class_=style)


def _point(b: Bin, radius: float, x: Scale, y: Scale) -> Html:
    accuracy, confidence = b.right.value or 0.0, b.confidence or 0.0
    low, high = b.right.interval or (accuracy, accuracy)
    what = f"{b.right.correct} of {b.right.count} correct at a mean confidence of {percent(confidence)}"
    return h(
        "g",
        h("title", what),
        h("line", x1=x(confidence), x2=x(confidence), y1=y(low), y2=y(high), class_="whisker"),
        h("circle", cx=x(confidence), cy=y(accuracy), r=radius, class_="dot"),
    )


def _counts(measured: Calibration, x: Scale) -> list[Html]:
    base, most = _RELIABILITY_TOP + _SIDE + _BARS + 6, max(b.right.count for b in measured.bins)
    return [
        h("rect", h("title", f"{b.right.count} answers"), x=x(b.low) + 1, width=x(b.high) - x(b.low) - 2,
          y=base - tall, height=tall, class_="count")
        for b in measured.bins
        if (tall := max(1.5, (_BARS - 10) * b.right.count / most) if b.right.count else 0.0)
    ]  # fmt: skip
