"""The console that everything is printed on, and numbers as people read them."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

Row = Sequence[object]

_ENDLESS = 1000  # columns of text: no line of ours is longer, so nothing is cut or broken


def console() -> Console:
    """Standard output; colours and bars only where a person is looking, and lines as long as they are elsewhere."""
    if sys.stdout.isatty():
        return Console(highlight=False, markup=False, emoji=False)
    return Console(highlight=False, markup=False, emoji=False, soft_wrap=True, width=_ENDLESS)


def print_json(value: Any) -> None:
    """One JSON document on standard output, for programs."""
    print(json.dumps(value, ensure_ascii=False, indent=2))


def table(
    columns: Sequence[str], rows: Sequence[Row], *, left: int = 1, total: Row | None = None, gap: int = 2
) -> Table:
    """A plain table: the first `left` columns lean left, the numbers after them right; `total` stands apart below,
    `gap` is the space between columns.

    Where it is too wide for the terminal, only words are broken, never names (the first column) or numbers.
    """
    drawn = Table(box=None, pad_edge=False, padding=(0, gap, 0, 0), header_style="bold")
    for number, column in enumerate(columns):
        words = 0 < number < left
        drawn.add_column(column, justify="left" if number < left else "right", no_wrap=not words)
    for row in rows:
        drawn.add_row(*map(str, row))
    if total is not None:
        drawn.add_section()
        drawn.add_row(*map(str, total), style="bold")
    return drawn


def percent(share: float | None, digits: int = 2) -> str:
    """`0.9917` as `99.17 %`; what is not known as a dash."""
    return "–" if share is None else f"{100 * share:.{digits}f} %"


def span(seconds: float) -> str:
    """A length of time: `8 s`, `3 min 20 s`, `2 h 5 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"
