"""The progress that verbs show when they are called from Python: a bar in a notebook or on a terminal."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from striate.core.notebook import in_notebook, table, text

_SECONDS_BETWEEN = 0.1  # redrawing more often costs time and is not seen
_EVALUATIONS_SHOWN = 8


_wanted: bool | None = None


def show_progress(wanted: bool | None, /) -> None:
    """Turn the progress bars of this process's verbs on or off.

    Example:
        striate.show_progress(False)

    Args:
        wanted: True shows a bar everywhere, False nowhere; None, the default, in notebooks and on terminals only.
    """
    global _wanted
    _wanted = wanted


@contextlib.contextmanager
def display() -> Iterator[Callable[[object], None]]:
    """Yield a function that takes the events of a verb and shows how far the work is."""
    notebook = in_notebook()
    if not (notebook or sys.stderr.isatty() if _wanted is None else _wanted):
        yield _nothing
        return
    with _Notebook() if notebook else _Terminal() as drawn:
        yield _Follower(drawn).show


def _nothing(event: object) -> None:
    """Show nothing."""


class _Follower:
    """Turns events into a line of text, a fraction done and rows of evaluations, and draws them."""

    def __init__(self, drawn: _Notebook | _Terminal) -> None:
        self._drawn = drawn
        self._last = -1.0
        self._until: Any = None
        self._scores = ""
        self._rows: list[tuple[str, str, str, str]] = []
        self._loss = 0.0

    def show(self, event: object) -> None:
        from striate.runs.events import RunStarted
        from striate.runs.stage import Progress
        from striate.training.events import Evaluated, StepDone

        match event:
            case Progress():
                of = f"{event.stage}: {event.done:,} of {event.total:,}"
                self._draw(of, event.done / max(event.total, 1), at_once=event.done == event.total)
            case RunStarted():
                self._until = event.until
            case StepDone():
                self._loss = event.loss
                line = f"epoch {event.clock.epochs:.4g} of {self._until}, loss {event.loss:.4f}{self._scores}"
                self._draw(line, min(1.0, self._until.progress(event.clock)))
            case Evaluated():
                accuracy = event.scores.get("accuracy", float("nan"))
                self._scores = f", validation {accuracy:.2%}"
                row = f"{event.clock.epochs:.4g}", f"{self._loss:.4f}", f"{event.scores['loss']:.4f}", f"{accuracy:.2%}"
                self._rows.append(row)

    def _draw(self, line: str, fraction: float, *, at_once: bool = False) -> None:
        now = time.monotonic()
        if at_once or now - self._last >= _SECONDS_BETWEEN:
            self._last = now
            self._drawn.draw(line, fraction, self._rows[-_EVALUATIONS_SHOWN:])


class _Terminal:
    """A bar on standard error that is removed when the work is done."""

    def __enter__(self) -> _Terminal:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        columns = BarColumn(bar_width=12), TextColumn("{task.description}", markup=False)
        self._bar = Progress(*columns, console=Console(stderr=True), transient=True)
        self._bar.start()
        self._task = self._bar.add_task("", total=1.0)
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def draw(self, line: str, fraction: float, rows: list[tuple[str, str, str, str]]) -> None:
        self._bar.update(self._task, description=line, completed=fraction)


class _Notebook:
    """A bar and the last evaluations in the output of a cell, updated in place."""

    def __enter__(self) -> _Notebook:
        ipython: Any = sys.modules["IPython"]
        self._html = ipython.display.HTML
        self._output = ipython.display.display(self._html(""), display_id=True)
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the last state in the cell: an interrupted training shows how far it came."""

    def draw(self, line: str, fraction: float, rows: list[tuple[str, str, str, str]]) -> None:
        bar = f'<progress max="1" value="{fraction:.4f}" style="width: 100%; max-width: 40em"></progress>'
        shown = table(("epoch", "loss", "validation loss", "validation accuracy"), rows) if rows else ""
        self._output.update(self._html(f"<div>{bar}<br>{text(line)}</div>{shown}"))
