"""Rows of CSV that every reader reads back."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable

_BREAKS = "\r\n"


def csv_row(cells: Iterable[object]) -> str:
    r"""Return `cells` as a row that ends with a line feed.

    Readers end a row at a carriage return, too, unless it is quoted. Python 3.11 quotes what the end of the row holds.

    >>> csv_row(["a\rb.png", 1])
    '"a\rb.png",1\n'
    """
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator=_BREAKS).writerow(cells)
    return text.getvalue().removesuffix(_BREAKS) + "\n"
