"""HTML of results in a notebook."""

from __future__ import annotations

import html
import io
import sys
from collections.abc import Iterable, Sequence

from striate.core.names import visible

_MOST_ROWS = 60


def in_notebook() -> bool:
    """Return whether this process is the kernel of a notebook, which displays HTML.

    This does not import IPython: a kernel has imported it.
    """
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return shell is not None and getattr(shell, "kernel", None) is not None


def show_png(png: bytes) -> None:
    """Display an image in the notebook; elsewhere, open it in the system's image viewer."""
    if in_notebook():
        display = sys.modules["IPython"].display
        display.display(display.Image(png))
    else:
        from PIL import Image

        Image.open(io.BytesIO(png)).show()


def text(value: object) -> str:
    """Return `value` as escaped HTML text, with control and direction characters of names escaped."""
    return html.escape(visible(str(value)))


def table(
    columns: Sequence[str], rows: Iterable[Sequence[object]], *, left: int = 1, title: str = "", note: str = ""
) -> str:
    """Return a table; at most 60 rows are written.

    Args:
        columns: the headings.
        rows: the cells, as many in each row as there are columns.
        left: how many columns are aligned left; those after them, of numbers, are aligned right.
        title: a line above the table.
        note: a line below it.
    """
    every = list(rows)
    more = len(every) - _MOST_ROWS
    lines = [f"<p><b>{text(title)}</b></p>"] if title else []
    lines += ["<table>", f"<thead>{_row('th', columns, left)}</thead>", "<tbody>"]
    lines += [_row("td", row, left) for row in every[:_MOST_ROWS]]
    lines += ["</tbody></table>"]
    if more > 0:
        lines.append(f"<p>… and {more:,} more</p>")
    if note:
        lines.append(f"<p>{text(note)}</p>")
    return "\n".join(lines)


def _row(tag: str, cells: Sequence[object], left: int) -> str:
    sides = ["left" if place < left else "right" for place in range(len(cells))]
    return (
        "<tr>"
        + "".join(
            f'<{tag} style="text-align: {side}">{text(cell)}</{tag}>' for side, cell in zip(sides, cells, strict=True)
        )
        + "</tr>"
    )
