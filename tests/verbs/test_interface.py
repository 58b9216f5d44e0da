"""The verbs from Python: signatures and help are of Python, and long work shows its progress where a person looks."""

from __future__ import annotations

import importlib.metadata
import inspect
import io
import re
import sys
import types
from typing import Any

import pytest

import striate
from striate.core.notebook import table
from striate.core.progress import Progress, silent
from striate.verbs._verb import with_progress
from striate.verbs.show_progress import display

VERBS = [name for name in dir(striate) if name not in ("__version__", "tune_process", "Loaders", "StriateError")]


def test_the_package_shows_its_verbs_and_version_and_nothing_else() -> None:
    assert {"train", "predict", "explain", "__version__"} <= set(dir(striate))
    assert not {"Any", "import_module", "TYPE_CHECKING"} & set(dir(striate))
    assert striate.__version__ == importlib.metadata.version("striate")


@pytest.mark.parametrize("name", VERBS)
def test_the_help_of_a_verb_is_about_python(name: str) -> None:
    called = getattr(striate, name)
    help_text = inspect.getdoc(called) or ""
    assert "Generator" not in str(inspect.signature(called))
    assert not re.search(r"^Example: ", help_text, re.MULTILINE), "an example for the command line"
    for parameter in inspect.signature(called).parameters:
        assert f"\n    {parameter}: " in help_text, f"{parameter} is not explained"


@with_progress
def count(upto: int, /, *, progress: Progress | None = None) -> list[int]:
    """Count."""
    for number in range(upto):
        (progress or silent)("counting", number + 1, upto)
    return list(range(upto))


def test_a_verb_calls_the_progress_that_it_is_given() -> None:
    reported: list[tuple[str, int, int]] = []
    assert count(3, progress=lambda *report: reported.append(report)) == [0, 1, 2]
    assert reported == [("counting", number, 3) for number in (1, 2, 3)]


def test_only_trainings_have_events_and_their_signature_shows_what_the_call_returns() -> None:
    assert [name for name in VERBS if hasattr(getattr(striate, name), "events")] == ["finish", "resume", "train"]
    assert str(inspect.signature(striate.train)).endswith("-> 'Run'")


def test_a_terminal_bar_is_erased_before_something_is_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = io.StringIO()
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("FORCE_COLOR", "1")  # for rich, a terminal
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    with display() as shown:
        shown.progress("counting", 1, 2)
        shown.clear()
        print("between")
        shown.progress("counting", 2, 2)
    before, after = terminal.getvalue().split("between")
    assert "counting: 1 of 2" in before
    assert before.endswith("\x1b[2K")  # erase the line
    assert "counting: 2 of 2" in after


def test_a_verb_shows_nothing_without_a_terminal_or_notebook(capfd: pytest.CaptureFixture[str]) -> None:
    count(3)
    assert capfd.readouterr() == ("", "")


class Cell:
    """The output of a notebook's cell: the newest HTML in it."""

    def __init__(self, shown: str) -> None:
        self.shown = shown

    def update(self, shown: str) -> None:
        self.shown = shown


@pytest.fixture
def cells(monkeypatch: pytest.MonkeyPatch) -> list[Cell]:
    """The cells that a notebook's kernel has written into."""
    written: list[Cell] = []

    def display(shown: str, *, display_id: bool) -> Cell:
        assert display_id
        written.append(Cell(shown))
        return written[-1]

    ipython: Any = types.ModuleType("IPython")
    ipython.get_ipython = lambda: types.SimpleNamespace(kernel=object())
    ipython.display = types.SimpleNamespace(HTML=str, display=display)
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    return written


def test_a_verb_shows_a_bar_in_a_notebook(cells: list[Cell]) -> None:
    count(3)
    (cell,) = cells
    assert "counting: 3 of 3" in cell.shown
    assert 'value="1.0000"' in cell.shown


def test_the_last_state_stays_in_a_notebook(cells: list[Cell]) -> None:
    with display() as shown:
        shown.progress("counting", 1, 9)
        shown.progress("counting", 2, 9)  # too soon to be drawn at once
    (cell,) = cells
    assert "counting: 2 of 9" in cell.shown


def test_a_verb_without_progress_leaves_no_cell(cells: list[Cell]) -> None:
    with display():
        pass
    assert not cells


def test_a_notebook_shows_nothing_where_progress_is_turned_off(cells: list[Cell]) -> None:
    striate.show_progress(False)
    try:
        count(3)
    finally:
        striate.show_progress(None)
    assert not cells


def test_names_in_a_table_cannot_become_markup_or_turn_the_text() -> None:
    shown = table(("name",), [("<script>\u202egpj.exe\x1b[2J",)])
    assert "&lt;script&gt;\\u202egpj.exe\\u001b[2J" in shown
