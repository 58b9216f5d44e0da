"""The health of layers as a small figure: a row for each layer, a panel for each figure."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from striate.diagnosing import LayerHealth, Measurement, thresholds
from striate.reporting.charts.curves import Scale
from striate.reporting.html import Child, Html, h
from striate.reporting.numbers import percent

_LETTER, _PANEL, _BETWEEN, _TOP, _BOTTOM = 6.8, 180.0, 44.0, 40.0, 26.0
_ROW, _TALLEST = 22.0, 520.0
_LETTERS = 26  # of a layer's name, at most
# Colours are those of the report's page, or the second ones where there is none, as in a notebook.
_INK, _SOFT, _LINE = "var(--ink, #1c1b1a)", "var(--soft, #78746b)", "var(--line, #d8d4cb)"
_FIELD, _GOOD, _BAD = "var(--field, #e9f0ee)", "var(--val, #2b5db2)", "var(--wrong, #c9431b)"
_SHARE = Scale(0.0, 1.0, 0.0, _PANEL)
_DECAY = Scale(1e-6, 1e6, 0.0, _PANEL, logarithmic=True)
_UPDATE = Scale(1e-6, 1.0, 0.0, _PANEL, logarithmic=True)


def layers_chart(
    measurement: Measurement, *, start: Measurement | None = None, moving: Measurement | None = None
) -> Html:
    """Draw dead and saturated units, the gradient and the update of each layer of `measurement`.

    The gradient is relative to that of the last layer; hollow dots are those at `start`, before the first step. Updates
    are those of `moving`, a measurement at a high learning rate. Shaded are the ranges without fault.
    """
    layers = measurement.layers
    left = 24 + _LETTER * max(len(_short(layer.name)) for layer in layers)
    width = left + 3 * _PANEL + 2 * _BETWEEN + 20
    row = min(_ROW, _TALLEST / len(layers))
    height = _TOP + row * len(layers) + _BOTTOM
    middles = [_TOP + row * (number + 0.5) for number in range(len(layers))]
    panels = [_units(layers, middles, row), _gradients(measurement, start, middles), _updates(layers, moving, middles)]
    every = max(1, math.ceil(15.0 / row))
    names = [
        h("text", h("title", layer.name), _short(layer.name), x=left - 16, y=y + 4, text_anchor="end", fill=_INK)
        for number, (layer, y) in enumerate(zip(layers, middles, strict=True))
        if number % every == 0
    ]
    return h(
        "svg",
        names,
        [
            h("g", panel, transform=f"translate({left + place * (_PANEL + _BETWEEN):g} 0)")
            for place, panel in enumerate(panels)
        ],
        viewBox=f"0 0 {width:.0f} {height:.0f}",
        style=f"width: 100%; max-width: {width:.0f}px; height: auto; font: 12px system-ui, sans-serif",
        role="img",
        aria_label="Health of the layers",
    )


def _units(layers: Sequence[LayerHealth], middles: Sequence[float], row: float) -> list[Child]:
    """Draw the share of dead units as a bar, and that of saturated outputs as an outline."""
    drawn: list[Child] = _frame("dead (bar), saturated (outline)", middles, _SHARE, (0.0, thresholds.DEAD), _share)
    thick = max(2.0, min(10.0, 0.6 * row))
    for layer, y in zip(layers, middles, strict=True):
        where = {"x": 0.0, "y": y - thick / 2, "height": thick}
        if layer.dead:
            colour = _BAD if layer.dead >= thresholds.DEAD else _GOOD
            drawn.append(
                h("rect", h("title", f"{percent(layer.dead)} dead"), **where, width=_SHARE(layer.dead), fill=colour)
            )
        if layer.saturated:
            colour = _BAD if layer.saturated >= thresholds.SATURATED else _GOOD
            said = h("title", f"{percent(layer.saturated)} saturated")
            drawn.append(h("rect", said, **where, width=_SHARE(layer.saturated), fill="none", stroke=colour))
    return drawn


def _gradients(measurement: Measurement, start: Measurement | None, middles: Sequence[float]) -> list[Child]:
    """Draw the gradient at each layer relative to that at the last, now and at the start."""
    usual = thresholds.VANISHING, thresholds.EXPLODING
    drawn: list[Child] = _frame("gradient / that of the last layer", middles, _DECAY, usual, _power)
    begun = start is not None and len(start.layers) == len(measurement.layers)
    for each, hollow in ([(start, True)] if begun and start else []) + [(measurement, False)]:
        last = each.signals[-1][1] if each.signals else 0.0
        for layer, y in zip(each.layers, middles, strict=True):
            if layer.signal is not None and last and math.isfinite(layer.signal / last):
                drawn.append(_dot(layer.signal / last, y, _DECAY, usual, hollow=hollow))
    return drawn


def _updates(layers: Sequence[LayerHealth], moving: Measurement | None, middles: Sequence[float]) -> list[Child]:
    """Draw the ratio of the last update to the weights."""
    usual = thresholds.SMALL_UPDATE, thresholds.LARGE_UPDATE
    title = "update / weights" + (f", epoch {moving.epoch:.3g}" if moving else ": not measured")
    drawn: list[Child] = _frame(title, middles, _UPDATE, usual, _power)
    ratios = {layer.name: layer.update for layer in moving.layers} if moving else {}
    for layer, y in zip(layers, middles, strict=True):
        ratio = ratios.get(layer.name)
        if ratio is not None and math.isfinite(ratio):
            drawn.append(_dot(ratio, y, _UPDATE, usual))
    return drawn


def _frame(
    title: str, middles: Sequence[float], x: Scale, usual: tuple[float, float], name: Callable[[float], str]
) -> list[Child]:
    """Draw the title of a panel, the range without fault, and a line at its ends and those of the axis."""
    top, bottom = _TOP - 4, middles[-1] + (middles[0] - _TOP) + 4
    low, high = map(x, usual)
    ends = sorted({x.low, *usual, x.high})
    return [
        h("text", title, x=0.0, y=_TOP - 18, fill=_SOFT),
        h("rect", x=low, y=top, width=high - low, height=bottom - top, fill=_FIELD),
        [h("line", x1=x(end), x2=x(end), y1=top, y2=bottom, stroke=_LINE) for end in ends],
        [h("text", name(end), x=x(end), y=bottom + 14, text_anchor="middle", fill=_SOFT) for end in ends],
    ]


def _dot(value: float, y: float, x: Scale, usual: tuple[float, float], *, hollow: bool = False) -> Html:
    """Draw a dot at `value`, at the end of the axis where it lies outside of it."""
    colour = _GOOD if usual[0] <= value <= usual[1] else _BAD
    paint = {"fill": "none", "stroke": colour} if hollow else {"fill": colour}
    said = f"{value:.2g}" + (" at the start" if hollow else "")
    return h("circle", h("title", said), cx=x(min(max(value, x.low), x.high)), cy=y, r=3.5, **paint)


def _share(value: float) -> str:
    return f"{100 * value:.0f} %"


def _power(value: float) -> str:
    """Write a power of ten with a superscript, and other numbers as they are."""
    exponent = math.log10(value)
    if abs(exponent) < 3 or not math.isclose(exponent, round(exponent), abs_tol=1e-9):
        return f"{value:g}"
    return "10" + "".join("⁻" if digit == "-" else "⁰¹²³⁴⁵⁶⁷⁸⁹"[int(digit)] for digit in str(round(exponent)))


def _short(name: str) -> str:
    return name if len(name) <= _LETTERS else f"…{name[1 - _LETTERS :]}"
