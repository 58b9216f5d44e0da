"""Format numbers for reading, without hiding how they differ from 0 and from all."""

from __future__ import annotations

from collections.abc import Sequence

from striate.core.proportion import Proportion
from striate.reporting.html import Html, h

NOT_KNOWN = "n/a"
_THIN = "\u202f"


def percent(fraction: float, digits: int = 1) -> str:
    """Format a fraction as a percentage; only 1 is `100 %` and only 0 is `0 %`."""
    text = f"{100 * fraction:.{digits}f}"
    smallest = 10.0**-digits
    if fraction < 1 and float(text) == 100:
        text = f">{100 - smallest:.{digits}f}"
    elif fraction > 0 and float(text) == 0:
        text = f"<{smallest:.{digits}f}"
    elif fraction in (0, 1):
        text = f"{100 * fraction:.0f}"
    return f"{text}{_THIN}%"


def count(number: int, noun: str | None = None) -> str:
    """Format a count, as in `1,077 images`; a regular noun is in the plural unless the count is 1."""
    if noun is None:
        return f"{number:,}"
    return f"{number:,} {noun if number == 1 else noun + 's'}"


def short(number: int) -> str:
    """Format with three digits and a unit, as in `61.7 k` and `1.2 M`."""
    value, unit = float(number), ""
    for larger in ("k", "M", "G", "T"):
        if value < 999.5:
            break
        value, unit = value / 1000, larger
    return f"{value:.0f}" if not unit else f"{value:.3g}{_THIN}{unit}"


def size(dimensions: Sequence[int]) -> str:
    """Format dimensions, as in `6 × 28 × 28`."""
    return f"{_THIN}×{_THIN}".join(str(d) for d in dimensions)


def listed(words: Sequence[str], most: int = 8) -> str:
    """Join words, as in `a, b and c`; of more than `most`, the first and the number of the others."""
    if len(words) > most:
        return f"{', '.join(words[:most])} and {len(words) - most} more"
    return " and ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))


def figure(value: float | int | None, text: str, of: str) -> Html:
    """Mark up a number with its full value and its path `of` in the JSON of the scores.

    The markup lets a reader and the tests compare what is shown with what was computed.
    """
    if value is None:
        return h("span", NOT_KNOWN, class_="unknown")
    return h("data", text, value=repr(value), data_of=of)


def proportion(measured: Proportion, of: str, digits: int = 1) -> Html:
    """Mark up a proportion as a percentage, with its path."""
    value = measured.value
    return figure(value, "" if value is None else percent(value, digits), f"{of}.value")


def interval(measured: Proportion, of: str, digits: int = 1) -> list[Html | str]:
    """Mark up the interval of a proportion, as in `96.8 % – 99.4 %`, with its paths."""
    ends = measured.interval
    if ends is None:
        return [NOT_KNOWN]
    low, high = ends
    return [
        figure(low, percent(low, digits), f"{of}.interval.0"),
        " – ",
        figure(high, percent(high, digits), f"{of}.interval.1"),
    ]
