"""One quantity over the epochs: lines that carry their own names, and a mark at the epoch that was kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from striate.reporting.charts.scale import Scale, logarithmic_ticks, ticks
from striate.reporting.html import Html, h

WIDTH, HEIGHT = 410.0, 260.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 52.0, 12.0, 24.0, 34.0


@dataclass(frozen=True)
class Line:
    """A named curve; `style` is its class in the style sheet."""

    name: str
    style: str
    points: Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Axis:
    """How values are written, and the range that is shown."""

    write: Callable[[float], str]
    low: float
    high: float
    logarithmic: bool = False


def curves(lines: Sequence[Line], axis: Axis, *, title: str, best: float | None) -> Html:
    """Draw `lines` over epochs; `best` is the epoch to mark.

    At most some 300 points of a line are drawn: each the mean of its neighbours, which is what an eye would see.
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
        h("text", f"best: {best:g}", x=x + 4 if late else x - 4, y=_TOP - 8, class_="best-label",
          text_anchor="end" if late else "start"),
    ]  # fmt: skip


def _draw(line: Line, across: Scale, up: Scale, axis: Axis) -> list[Html]:
    """The line, and on it dots to hover over where they are few enough to tell apart."""
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
