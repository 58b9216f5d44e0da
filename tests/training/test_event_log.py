"""The event log of a run: its lines, and truncation to any position."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from striate.core.duration import Clock
from striate.core.errors import RunError
from striate.training import Evaluated, EventLog, SafePoint, StepDone, first_event, read_events
from striate.training.event_log import without_wall


def steps(log: EventLog, first: int, last: int, per_epoch: int) -> None:
    for at in range(first, last + 1):
        clock = Clock(per_epoch, at, seconds=float(at))
        log.record(StepDone(clock, loss=float(at), learning_rate=0.1))
        log.record(SafePoint(clock))


def test_a_step_line_is_the_mean_since_the_line_before_and_a_last_short_one_ends_the_epoch(tmp_path: Path) -> None:
    with EventLog(tmp_path / "events.jsonl") as log:
        steps(log, 1, 101, per_epoch=101)  # more than 50 lines would be too many: one for every third step
    events = read_events(tmp_path / "events.jsonl")
    assert [event["clock"]["step"] for event in events] == [*range(3, 100, 3), 101]
    assert [event["loss"] for event in events[:2]] == [2.0, 5.0]
    assert events[-1]["loss"] == 100.5
    assert events[-1]["clock"] == {"epoch": 1, "step": 101}
    assert events[-1]["wall"]["seconds"] == 101.0
    assert set(without_wall(events)[0]) == {"event", "clock", "loss", "lr"}


def test_cut_back_to_a_mark_between_two_lines_it_goes_on_as_if_nothing_had_followed(tmp_path: Path) -> None:
    whole, cut = tmp_path / "whole.jsonl", tmp_path / "cut.jsonl"
    with EventLog(whole) as log:
        steps(log, 1, 101, per_epoch=101)
    with EventLog(cut) as log:
        steps(log, 1, 50, per_epoch=101)
        position = log.position()
        steps(log, 51, 80, per_epoch=101)
        log.write("stopped")
    with open(cut, "ab") as file:
        file.write(b'{"event": "st')  # a kill in the middle of a line
    with EventLog(cut, position) as log:
        steps(log, 51, 101, per_epoch=101)
        assert log.position().length == cut.stat().st_size
    assert without_wall(read_events(cut)) == without_wall(read_events(whole))


def test_a_record_that_was_changed_before_the_mark_is_not_gone_on_with(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    with EventLog(path) as log:
        log.write("started", seed=1)
        position = log.position()
    path.write_bytes(path.read_bytes().replace(b'"seed": 1', b'"seed": 2'))
    with pytest.raises(RunError, match="is not the log that this checkpoint continues"):
        EventLog(path, position)


EVALUATED = {"event": "evaluated", "clock": {"epoch": 1, "step": 5}, "scores": {"loss": 0.5}}


@pytest.mark.parametrize(
    "tail", [b'{"event": "st', bytes(4096), bytes(100) + b'ep": 7}\n{"event": "step"', b'{"ev\n[1]\n']
)
def test_remains_of_a_kill_or_a_power_cut_at_the_end_are_ignored(tmp_path: Path, tail: bytes) -> None:
    path = tmp_path / "events.jsonl"
    with EventLog(path) as log:
        log.record(Evaluated(Clock(5, 5), {"loss": 0.5}))
    path.write_bytes(path.read_bytes() + tail)
    assert without_wall(read_events(path)) == [EVALUATED]
    first = first_event(path)
    assert first is not None
    assert first["event"] == "evaluated"


@pytest.mark.parametrize("tail", [b'{"event": "st', bytes(4096), bytes(100) + b'ep": 7}\n{"event": "step"'])
def test_a_resumed_run_cuts_it_away(tmp_path: Path, tail: bytes) -> None:
    path = tmp_path / "events.jsonl"
    with EventLog(path) as log:
        log.write("started", seed=1)
        position = log.position()
        log.record(Evaluated(Clock(5, 5), {"loss": 0.7}))
    path.write_bytes(path.read_bytes() + tail)
    with EventLog(path, position) as log:
        log.record(Evaluated(Clock(5, 5), {"loss": 0.5}))
    assert b"\0" not in path.read_bytes()
    assert without_wall(read_events(path)) == [{"event": "started", "seed": 1}, EVALUATED]


@pytest.mark.parametrize(
    "line",
    [
        *("not json", "[]", "null", '"step"', "{}", '{"event": 3}', "[" * 100_000, '{"event": "step"}'),
        *('{"event": "evaluated", "clock": 3, "scores": {}}', '{"event": "finished"}', '{"event": "x", "wall": []}'),
        '{"event": "evaluated", "clock": {"step": "1", "epoch": 0}, "scores": {}}',
    ],
    ids=lambda line: line[:50],
)
def test_any_other_damage_is_a_sentence_that_names_the_line(tmp_path: Path, line: str) -> None:
    path = tmp_path / "events.jsonl"
    path.write_text(f"{line}\n")
    with pytest.raises(RunError, match=r"cannot be read \(line 1 is not an event\)\. Restore it from a copy\."):
        read_events(path)
    assert first_event(path) is None
    path.write_text(f'{{"event": "a"}}\n{line}\n{{"event": "b"}}\n')
    with pytest.raises(RunError, match="line 2 is not an event"):
        read_events(path)


@pytest.mark.parametrize("kind", ["pipe", "folder"])
def test_other_files_than_regular_ones_are_refused_without_waiting(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "events.jsonl"
    os.mkfifo(path) if kind == "pipe" else path.mkdir()
    for use in (read_events, first_event, EventLog):
        with pytest.raises(RunError, match=r"events\.jsonl"):
            use(path)


def test_a_folder_that_is_not_there_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="could not be written"):
        EventLog(tmp_path / "absent" / "events.jsonl")
