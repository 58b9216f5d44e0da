"""The progress that verbs show: a bar in a notebook or on a terminal, nothing elsewhere."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator
from typing import Any, Protocol

from striate.core.arguments import checked
from striate.core.names import visible
from striate.core.notebook import in_notebook, table, text

_SECONDS_BETWEEN = 0.1  # redrawing more often costs time and is not seen
_EVALUATIONS_SHOWN = 8

Row = tuple[str, str, str, str]

_wanted: bool | None = None


@checked
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
def display() -> Iterator[Display]:
    """Yield what shows progress in this process; a bar on a terminal is removed at the end of the block."""
    notebook = in_notebook()
    wanted = (notebook or sys.stderr.isatty()) if _wanted is None else _wanted
    shown = Display((_Notebook() if notebook else _Terminal()) if wanted else None)
    try:
        yield shown
    finally:
        shown.clear()


class Display:
    """Draw progress and the events of a training as a line of text, a fraction done, and rows of evaluations."""

    def __init__(self, canvas: _Canvas | None) -> None:
        self._canvas = canvas
        self._last = -1.0
        self._skipped: tuple[str, float] | None = None
        self._until: Any = None
        self._scores = ""
        self._rows: list[Row] = []
        self._loss = 0.0

    def progress(self, stage: str, done: int, total: int) -> None:
        """Show the progress of a stage (`core.progress.Progress`)."""
        if self._canvas is not None:
            self._draw(f"{stage}: {done:,} of {total:,}", done / max(total, 1), at_once=done == total)

    def event(self, event: object) -> None:
        """Show the position of a training."""
        if self._canvas is None:
            return
        from striate.metrics import headline
        from striate.runs.events import RunStarted
        from striate.training.events import Evaluated, StepDone

        match event:
            case RunStarted():
                self._until = event.until
            case StepDone():
                self._loss = event.loss
                line = f"epoch {event.clock.epochs:.4g}, until {self._until}; loss {event.loss:.4f}{self._scores}"
                self._draw(line, min(1.0, self._until.progress(event.clock)))
            case Evaluated():
                title, score = headline(event.scores)
                said = f"{float('nan') if score is None else score:.2%}" + ("" if title == "accuracy" else f" {title}")
                self._scores = f", validation {said}"
                row = f"{event.clock.epochs:.4g}", f"{self._loss:.4f}", f"{event.scores['loss']:.4f}", said
                self._rows.append(row)

    def clear(self) -> None:
        """Remove a terminal's bar, so that something can be printed; the next progress draws it again.

        A notebook keeps the last state: an interrupted training shows how far it came.
        """
        if self._canvas is not None:
            if self._canvas.keeps and self._skipped is not None:
                self._draw(*self._skipped, at_once=True)
            self._canvas.clear()
        self._last = -1.0

    def _draw(self, line: str, fraction: float, *, at_once: bool = False) -> None:
        now = time.monotonic()
        self._skipped = line, fraction
        if self._canvas is not None and (at_once or now - self._last >= _SECONDS_BETWEEN):
            self._last, self._skipped = now, None
            self._canvas.draw(line, fraction, self._rows[-_EVALUATIONS_SHOWN:])


class _Canvas(Protocol):
    keeps: bool  # whether its last state stays visible

    def draw(self, line: str, fraction: float, rows: list[Row]) -> None: ...
    def clear(self) -> None: ...


class _Terminal:
    """A bar on standard error."""

    keeps = False

    def __init__(self) -> None:
        self._bar: Any = None

    def draw(self, line: str, fraction: float, rows: list[Row]) -> None:
        if self._bar is None:
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn

            columns = BarColumn(bar_width=12), TextColumn("{task.description}", markup=False)
            self._bar = Progress(*columns, console=Console(stderr=True), transient=True)
            self._task = self._bar.add_task("", total=1.0)
            self._bar.start()
        self._bar.update(self._task, description=visible(line), completed=fraction)

    def clear(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


class _Notebook:
    """A bar and the last evaluations in the output of a cell, updated in place."""

    keeps = True

    def __init__(self) -> None:
        self._output: Any = None

    def draw(self, line: str, fraction: float, rows: list[Row]) -> None:
        bar = f'<progress max="1" value="{fraction:.4f}" style="width: 100%; max-width: 40em"></progress>'
        shown = table(("epoch", "loss", "validation loss", "validation accuracy"), rows) if rows else ""
        ipython: Any = sys.modules["IPython"]
        state = ipython.display.HTML(f"<div>{bar}<br>{text(line)}</div>{shown}")
        if self._output is None:
            self._output = ipython.display.display(state, display_id=True)
        else:
            self._output.update(state)

    def clear(self) -> None:
        """Leave the last state in the cell."""
