"""The reliability diagram: what was claimed against what was right."""

from __future__ import annotations

import math

from striate.metrics import Bin, Calibration
from striate.reporting.charts.scale import Scale, ticks
from striate.reporting.html import Html, h
from striate.reporting.numbers import percent

_SIDE, _LEFT, _TOP, _BARS = 300.0, 44.0, 10.0, 46.0
_HEIGHT = _TOP + _SIDE + _BARS + 42


def reliability(as_trained: Calibration, calibrated: Calibration | None) -> Html:
    """Confidence across, share of right answers up, for the answers as trained and after the fitted temperature.

    The diagonal is perfect honesty. Whiskers are Wilson's 95 % intervals; the strip below counts the answers.
    """
    x = Scale(0.0, 1.0, _LEFT, _LEFT + _SIDE)
    y = Scale(0.0, 1.0, _TOP + _SIDE, _TOP)
    shown = [(as_trained, "before")] + ([(calibrated, "after")] if calibrated else [])
    return h(
        "svg",
        [_level(tick, x, y) for tick in ticks(0.0, 1.0)],
        h("line", x1=x(0.0), y1=y(0.0), x2=x(1.0), y2=y(1.0), class_="honest"),
        [_points(measured, style, x, y) for measured, style in shown],
        _counts(calibrated or as_trained, x),
        h("text", "confidence", x=x(0.5), y=_HEIGHT - 2, text_anchor="middle", class_="unit"),
        h("text", "right", x=_LEFT + 5, y=_TOP + 10, class_="unit"),
        viewBox=f"0 0 {_LEFT + _SIDE + 12:.0f} {_HEIGHT:.0f}",
        class_="chart reliability",
        role="img",
        aria_label="Reliability diagram",
    )


def _level(share: float, x: Scale, y: Scale) -> list[Html]:
    text = f"{100 * share:.0f}"
    return [
        h("line", x1=x(0.0), x2=x(1.0), y1=y(share), y2=y(share), class_="grid"),
        h("text", text, x=_LEFT - 7, y=y(share) + 4, text_anchor="end"),
        h("text", text, x=x(share), y=_TOP + _SIDE + _BARS + 22, text_anchor="middle"),
    ]


def _points(measured: Calibration, style: str, x: Scale, y: Scale) -> Html:
    """A dot per bin that holds answers; its area grows with their number, so that chance findings stay small."""
    most = max(b.right.count for b in measured.bins)
    filled = [b for b in measured.bins if b.right.count]
    return h("g", [_point(b, 2.0 + 5.0 * math.sqrt(b.right.count / most), x, y) for b in filled], class_=style)


def _point(b: Bin, radius: float, x: Scale, y: Scale) -> Html:
    share, confidence = b.right.value or 0.0, b.confidence or 0.0
    low, high = b.right.interval or (share, share)
    what = f"{b.right.correct} of {b.right.count} right where {percent(confidence)} was claimed"
    return h(
        "g",
        h("title", what),
        h("line", x1=x(confidence), x2=x(confidence), y1=y(low), y2=y(high), class_="whisker"),
        h("circle", cx=x(confidence), cy=y(share), r=radius, class_="dot"),
    )


def _counts(measured: Calibration, x: Scale) -> list[Html]:
    base, most = _TOP + _SIDE + _BARS + 6, max(b.right.count for b in measured.bins)
    return [
        h("rect", h("title", f"{b.right.count} answers"), x=x(b.low) + 1, width=x(b.high) - x(b.low) - 2,
          y=base - tall, height=tall, class_="count")
        for b in measured.bins
        if (tall := max(1.5, (_BARS - 10) * b.right.count / most) if b.right.count else 0.0)
    ]  # fmt: skip
