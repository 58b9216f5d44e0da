"""The event log of a run, `events.jsonl`: the source of curves, reports and early stopping.

The log has one JSON object per line. Values that depend on wall-clock time are under the key `wall`; all others are the
same in every repetition of the run. A checkpoint holds a `LogPosition`; a resumed run truncates the log to it and
appends. So the log of a killed and resumed run equals that of an uninterrupted one.

A power cut may leave zeros or half a line at the end. A resumed run removes them; a reader stops before them.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from striate.core.duration import Clock
from striate.core.errors import RunError
from striate.core.files import open_regular, storage_error
from striate.training.events import Evaluated, Event, MemoryShort, StepDone


@dataclass(frozen=True)
class LogPosition:
    """A position in a log: its first `length` bytes, their SHA-256, and the steps since the last line about steps."""

    length: int
    sha256: str
    loss_sum: float
    steps: int


class EventLog:
    """The open event log of one run.

    `EventLog(path)` starts a new log; `EventLog(path, position)` truncates it to `position` and continues. Steps
    are recorded by about `lines_per_epoch` lines an epoch at most, each with the mean loss since the line before.

    Raises:
        RunError: the file cannot be written, or its content before `position` has changed.
    """

    def __init__(self, path: Path, position: LogPosition | None = None, *, lines_per_epoch: int = 50) -> None:
        self.path = path
        self._lines = lines_per_epoch
        self._digest = hashlib.sha256()
        self._length, self._loss_sum, self._steps = 0, 0.0, 0
        with self._writing():
            if path.exists():
                open_regular(path).close()  # a pipe would wait for a reader
            self._file: IO[bytes] = open(path, "wb" if position is None else "r+b")  # noqa: SIM115 (closed by `close`)
        if position is not None:
            self._truncate(position)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> EventLog:
        return self

    def __exit__(self, *details: object) -> None:
        self.close()

    def write(
        self, event: str, *, clock: Clock | None = None, wall: Mapping[str, Any] | None = None, **facts: Any
    ) -> None:
        """Append one line. `facts` are plain JSON values, the same in every repetition; `wall` holds the others."""
        line: dict[str, Any] = {"event": event}
        times: dict[str, Any] = {"at": time.time()}
        if clock is not None:
            line["clock"] = {"epoch": clock.epoch, "step": clock.step}
            times["seconds"] = clock.seconds
        line |= facts | {"wall": times | dict(wall or {})}
        data = json.dumps(line, ensure_ascii=False).encode() + b"\n"
        with self._writing():
            self._file.write(data)
            self._file.flush()
        self._digest.update(data)
        self._length += len(data)

    def record(self, event: Event) -> None:
        """Append a line for a training event, if one is due."""
        match event:
            case StepDone(clock, loss, rate):
                self._loss_sum += loss
                self._steps += 1
                if clock.at_epoch_end or clock.step_in_epoch % -(-clock.steps_per_epoch // self._lines) == 0:
                    self.write("step", clock=clock, loss=self._loss_sum / self._steps, lr=rate)
                    self._loss_sum, self._steps = 0.0, 0
            case Evaluated(clock, scores):
                self.write("evaluated", clock=clock, scores=dict(scores))
            case MemoryShort(clock, micro_batch, normalized):
                self.write("memory_short", clock=clock, micro_batch=micro_batch, normalized=normalized)

    def position(self) -> LogPosition:
        """Return the present end of the log."""
        return LogPosition(self._length, self._digest.hexdigest(), self._loss_sum, self._steps)

    def sync(self) -> None:
        """Sync all lines to the disk."""
        with self._writing():
            os.fsync(self._file.fileno())

    def _truncate(self, position: LogPosition) -> None:
        with self._writing():
            self._digest.update(self._file.read(position.length))
            if self._digest.hexdigest() != position.sha256:
                self._file.close()
                raise RunError(
                    f"{self.path} is not the log that this checkpoint continues: its first {position.length} bytes "
                    "have been changed. Restore it from a copy."
                )
            self._file.truncate(position.length)
            self._file.seek(position.length)
        self._length, self._loss_sum, self._steps = position.length, position.loss_sum, position.steps

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise storage_error(self.path, error) from error


def read_events(path: Path, *, length: int | None = None) -> list[dict[str, Any]]:
    """Read the events of a log, without the half line or zeros that a kill or a power cut leaves at its end.

    With a `length`, that of a `LogPosition`, only the first `length` bytes are read.

    Raises:
        RunError: the file cannot be read, or a line before its end is not an event.
    """
    lines = _lines(path, length)
    events = [_event(line) for line in lines]
    whole = max((number for number, event in enumerate(events, start=1) if event is not None), default=0)
    damaged = events.index(None) + 1 if None in events[:whole] or (lines and not whole) else None
    if damaged is not None:
        raise RunError(f"{path} cannot be read (line {damaged} is not an event). Restore it from a copy.")
    return [event for event in events if event is not None]


def first_event(path: Path) -> dict[str, Any] | None:
    """Read the first event of a log, even if the rest is damaged; None if there is no whole line.

    Raises:
        RunError: the file cannot be read.
    """
    lines = _lines(path) if path.exists() else []
    return _event(lines[0]) if lines else None


def _lines(path: Path, length: int | None = None) -> list[bytes]:
    """Read the whole lines up to the first zero byte: file systems fill lost blocks with zeros, and text has none."""
    try:
        with open_regular(path) as file:
            return file.read(-1 if length is None else length).partition(b"\0")[0].split(b"\n")[:-1]
    except OSError as error:
        raise RunError(f"{path} cannot be read ({error}). Restore it from a copy.") from error


_FACTS = {"step": ("clock", "loss", "lr"), "evaluated": ("clock", "scores"), "finished": ("reason", "best_step")}
"""Required keys of each kind of event; other kinds are not checked."""


def _event(line: bytes) -> dict[str, Any] | None:
    """Parse the event on a line; None if it is not one."""
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(event, dict) or not isinstance(event.get("event"), str):
        return None
    facts = _FACTS.get(event["event"], ())
    clock = event.get("clock", {"step": 0, "epoch": 0})
    timed = isinstance(clock, dict) and all(isinstance(clock.get(key), int) for key in ("step", "epoch"))
    return event if timed and isinstance(event.get("wall", {}), dict) and all(fact in event for fact in facts) else None


def without_wall(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Remove the key `wall`: the rest is the same in every repetition of the run."""
    return [{key: value for key, value in event.items() if key != "wall"} for event in events]
