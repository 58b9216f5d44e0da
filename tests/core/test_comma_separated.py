"""Rows of CSV: readers by others return the cells that were written."""

from __future__ import annotations

import csv
import io

import pyarrow.csv
import pytest

from striate.core.comma_separated import csv_row

CELLS = ["a\rb.png", "c\nd.png", "e\r\nf.png", '"quoted", with a comma', " led by a space", "=1+1", "", "é\u2028"]


@pytest.mark.parametrize("place", [0, 1])
def test_readers_return_the_cells(place: int) -> None:
    rows = [["7", cell] if place else [cell, "7"] for cell in CELLS]
    text = "".join(map(csv_row, [["one", "two"], *rows]))
    assert list(csv.reader(io.StringIO(text, newline="")))[1:] == rows
    table = pyarrow.csv.read_csv(
        io.BytesIO(text.encode()), parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True)
    )
    assert [list(map(str, row.values())) for row in table.to_pylist()] == rows


def test_rows_end_with_a_line_feed_and_plain_cells_have_no_quotes() -> None:
    assert csv_row(["cat.jpg", 3, 0.25, None]) == "cat.jpg,3,0.25,\n"
