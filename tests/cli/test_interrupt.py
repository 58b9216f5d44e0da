"""Ctrl-C at the command line: before the first step it ends the process, during training it waits for a safe point."""

from __future__ import annotations

import signal
from collections.abc import Generator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from striate.cli.interrupt import interruptible
from striate.cli.main import main
from striate.cli.show.training import show_training
from striate.core.duration import Clock, Duration
from striate.runs.events import RunStarted
from striate.runs.folder import Run
from striate.training.events import SafePoint, StepDone


def started() -> RunStarted:
    """The event of a run that is about to make its first step; only what is shown is real."""
    event: Any = object.__new__(RunStarted)
    vars(event).update(run=Run(Path("runs/one")), until=Duration.parse("3ep"), plan=SimpleNamespace())
    return event


def training(interrupt_before: str, left: list[str]) -> Generator[Any, None, None]:
    """Yield the events of two steps; Ctrl-C comes before the event of this name, and `left` notes where it ends."""
    events = [("start", started()), ("step", StepDone(Clock(4, 1), 1.0, 0.1)), ("safe point", SafePoint(Clock(4, 1)))]
    name = ""
    try:
        for name, event in [*events, ("next step", StepDone(Clock(4, 2), 1.0, 0.1))]:
            if name == interrupt_before:
                signal.raise_signal(signal.SIGINT)
            yield event
    finally:
        left.append(name)


def test_before_the_first_step_ctrl_c_ends_at_once() -> None:
    left: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        show_training(lambda progress: training("start", left), quiet=True)
    assert left == ["start"]


@pytest.mark.parametrize("when", ["step", "safe point"])
def test_during_training_ctrl_c_ends_at_the_next_safe_point(when: str, capsys: pytest.CaptureFixture[str]) -> None:
    left: list[str] = []
    with pytest.raises(SystemExit) as ended:
        show_training(lambda progress: training(when, left), quiet=True)
    assert left == ["safe point"]
    assert ended.value.code == 128 + signal.SIGINT
    assert "Stopping at the next safe point" in capsys.readouterr().err


def test_a_signal_that_torchrun_passes_on_is_the_same_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    with interruptible() as interrupt:
        interrupt.deferred = True
        for number in (signal.SIGINT, signal.SIGINT, signal.SIGTERM):
            signal.raise_signal(number)
        assert interrupt.requested
        interrupt._at -= 60
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_a_second_ctrl_c_does_not_wait_and_handlers_are_restored() -> None:
    before = signal.getsignal(signal.SIGINT)
    with interruptible() as interrupt:
        interrupt.deferred = True
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


def test_ctrl_c_before_a_training_has_begun_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(name: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("striate.verbs.recipes._named", interrupted)
    with pytest.raises(SystemExit, match="130"):
        main(["recipes", "--show", "mnist"])
    assert capsys.readouterr().err == "\nstriate: stopped.\n"
