"""The console for all output, and numbers as people read them."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from striate.core.comma_separated import csv_row
from striate.core.names import json_escaped, visible, visible_lines

Row = Sequence[object]

_ENDLESS = 1000  # columns of text: no line of ours is longer, so nothing is cut or broken


class Screen(Console):
    """A console that spells out characters that would move the cursor or turn the direction of writing."""

    def print(self, *objects: Any, **options: Any) -> None:
        """Print `objects`; texts as `striate.core.names.visible_lines` shows them."""
        super().print(*(visible_lines(each) if isinstance(each, str) else each for each in objects), **options)


def console() -> Screen:
    """Return standard output as a console: colours and bars on a terminal, unbroken lines elsewhere."""
    if sys.stdout.isatty():
        return Screen(highlight=False, markup=False, emoji=False)
    return Screen(highlight=False, markup=False, emoji=False, soft_wrap=True, width=_ENDLESS)


def complain(sentence: str) -> None:
    """Print a sentence on standard error, after the program's name."""
    print(f"striate: {visible_lines(sentence)}", file=sys.stderr)


def print_json(value: Any) -> None:
    """Print one JSON document on standard output, for programs.

    JSON escapes keep each character of a name as it is. NaN and infinity, which JSON lacks, become null.
    """
    print(json_escaped(json.dumps(_finite(value), ensure_ascii=False, indent=2, allow_nan=False)))


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, (list, tuple)) else value


def print_csv(row: Row) -> None:
    """Print a row of CSV on standard output, for programs, with names as they are."""
    _put(csv_row(row))


def print_path(path: Path) -> None:
    """Print the path of a file, and nothing else, for people and programs alike."""
    _put(f"{path}\n")


def _put(text: str) -> None:
    """Write text that programs read; bytes of file names that are not UTF-8 are kept.

    On a terminal, characters that would act there are spelled out.
    """
    if sys.stdout.isatty() or not hasattr(sys.stdout, "buffer"):
        sys.stdout.write(visible_lines(text))
    else:
        sys.stdout.flush()
        sys.stdout.buffer.write(_encoded(text, sys.stdout.encoding))


def _encoded(text: str, encoding: str) -> bytes:
    """Encode text; characters that `encoding` lacks are spelled out."""
    try:
        return text.encode(encoding, "surrogateescape")
    except UnicodeEncodeError:
        return b"".join(
            character.encode(encoding, "surrogateescape" if "\udc80" <= character <= "\udcff" else "backslashreplace")
            for character in text
        )


def table(
    columns: Sequence[str], rows: Sequence[Row], *, left: int = 1, total: Row | None = None, gap: int = 2
) -> Table:
    """Return a plain table: the first `left` columns are aligned left, the numbers after them right.

    `total` is a row apart, below the others; `gap` is the space between columns. Where the table is too wide for the
    terminal, only words are broken, never names (the first column) or numbers.
    """
    drawn = Table(box=None, pad_edge=False, padding=(0, gap, 0, 0), header_style="bold")
    for number, column in enumerate(columns):
        words = 0 < number < left
        drawn.add_column(column, justify="left" if number < left else "right", no_wrap=not words)
    for row in rows:
        drawn.add_row(*(visible(str(cell)) for cell in row))
    if total is not None:
        drawn.add_section()
        drawn.add_row(*map(str, total), style="bold")
    return drawn


def percent(share: float | None, digits: int = 2) -> str:
    """Return `0.9917` as `99.17 %`, and an unknown value as a dash."""
    return "–" if share is None or not math.isfinite(share) else f"{100 * share:.{digits}f} %"


def span(seconds: float) -> str:
    """Return a length of time: `8 s`, `3 min 20 s`, `2 h 5 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"
