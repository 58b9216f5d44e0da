"""Numbers as people read them, and never rounder than they are."""

from __future__ import annotations

from collections.abc import Sequence

from striate.core.proportion import Proportion
from striate.reporting.html import Html, h

NOT_KNOWN = "n/a"
_THIN = "\u202f"


def percent(share: float, digits: int = 1) -> str:
    """A share as a percentage. Only all of them is 100 %, and only none is 0 %."""
    text = f"{100 * share:.{digits}f}"
    smallest = 10.0**-digits
    if share < 1 and float(text) == 100:
        text = f">{100 - smallest:.{digits}f}"
    elif share > 0 and float(text) == 0:
        text = f"<{smallest:.{digits}f}"
    elif share in (0, 1):
        text = f"{100 * share:.0f}"
    return f"{text}{_THIN}%"


def count(number: int, noun: str | None = None) -> str:
    """`1,077 pictures`; a regular noun is put into the plural where there is not one."""
    if noun is None:
        return f"{number:,}"
    return f"{number:,} {noun if number == 1 else noun + 's'}"


def short(number: int) -> str:
    """`61.7 k`, `1.2 M`: three figures and a unit."""
    value, unit = float(number), ""
    for larger in ("k", "M", "G", "T"):
        if value < 999.5:
            break
        value, unit = value / 1000, larger
    return f"{value:.0f}" if not unit else f"{value:.3g}{_THIN}{unit}"


def size(dimensions: Sequence[int]) -> str:
    """`6 × 28 × 28`."""
    return f"{_THIN}×{_THIN}".join(str(d) for d in dimensions)


def listed(words: Sequence[str], most: int = 8) -> str:
    """`a, b and c`; of a long list the beginning, and how many more there are."""
    if len(words) > most:
        return f"{', '.join(words[:most])} and {len(words) - most} more"
    return " and ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))


def figure(value: float | int | None, text: str, of: str) -> Html:
    """A number that leads back to where it comes from: `of` is its path in the judgement's JSON.

    The whole value stands in the markup, so that what is read can be checked against what was computed.
    """
    if value is None:
        return h("span", NOT_KNOWN, class_="unknown")
    return h("data", text, value=repr(value), data_of=of)


def proportion(measured: Proportion, of: str, digits: int = 1) -> Html:
    """The share of a proportion, with its path."""
    value = measured.value
    return figure(value, "" if value is None else percent(value, digits), f"{of}.value")


def interval(measured: Proportion, of: str, digits: int = 1) -> list[Html | str]:
    """`96.8 % – 99.4 %`, with its paths."""
    ends = measured.interval
    if ends is None:
        return [NOT_KNOWN]
    low, high = ends
    return [
        figure(low, percent(low, digits), f"{of}.interval.0"),
        " – ",
        figure(high, percent(high, digits), f"{of}.interval.1"),
    ]
