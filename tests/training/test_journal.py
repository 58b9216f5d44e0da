"""The record of a run: what it tells, and that it can be cut back to any mark."""

from __future__ import annotations

from pathlib import Path

import pytest

from striate.core.duration import Clock
from striate.core.errors import RunError
from striate.training import Evaluated, Journal, SafePoint, StepDone, read_events
from striate.training.journal import without_wall


def steps(journal: Journal, first: int, last: int, per_epoch: int) -> None:
    for at in range(first, last + 1):
        clock = Clock(per_epoch, at, seconds=float(at))
        journal.record(StepDone(clock, loss=float(at), learning_rate=0.1))
        journal.record(SafePoint(clock))


def test_a_step_line_is_the_mean_since_the_line_before_and_a_last_short_one_ends_the_epoch(tmp_path: Path) -> None:
    with Journal(tmp_path / "events.jsonl") as journal:
        steps(journal, 1, 101, per_epoch=101)  # more than 50 lines would be too many: one for every third step
    events = read_events(tmp_path / "events.jsonl")
    assert [event["clock"]["step"] for event in events] == [*range(3, 100, 3), 101]
    assert [event["loss"] for event in events[:2]] == [2.0, 5.0]
    assert events[-1]["loss"] == 100.5
    assert events[-1]["clock"] == {"epoch": 1, "step": 101}
    assert events[-1]["wall"]["seconds"] == 101.0
    assert set(without_wall(events)[0]) == {"event", "clock", "loss", "lr"}


def test_cut_back_to_a_mark_between_two_lines_it_goes_on_as_if_nothing_had_followed(tmp_path: Path) -> None:
    whole, cut = tmp_path / "whole.jsonl", tmp_path / "cut.jsonl"
    with Journal(whole) as journal:
        steps(journal, 1, 101, per_epoch=101)
    with Journal(cut) as journal:
        steps(journal, 1, 50, per_epoch=101)
        mark = journal.mark()
        steps(journal, 51, 80, per_epoch=101)
        journal.write("stopped")
    with open(cut, "ab") as file:
        file.write(b'{"event": "st')  # a kill in the middle of a line
    with Journal(cut, mark) as journal:
        steps(journal, 51, 101, per_epoch=101)
        assert journal.mark().length == cut.stat().st_size
    assert without_wall(read_events(cut)) == without_wall(read_events(whole))


def test_a_record_that_was_changed_before_the_mark_is_not_gone_on_with(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    with Journal(path) as journal:
        journal.write("started", seed=1)
        mark = journal.mark()
    path.write_bytes(path.read_bytes().replace(b'"seed": 1', b'"seed": 2'))
    with pytest.raises(RunError, match="is not the record that this checkpoint goes on with"):
        Journal(path, mark)


def test_a_last_line_that_was_cut_short_is_left_out_and_any_other_damage_is_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    with Journal(path) as journal:
        journal.record(Evaluated(Clock(5, 5), {"loss": 0.5}))
    path.write_bytes(path.read_bytes() + b'{"event": "st')
    assert without_wall(read_events(path)) == [
        {"event": "evaluated", "clock": {"epoch": 1, "step": 5}, "scores": {"loss": 0.5}}
    ]
    path.write_bytes(b"not json\n")
    with pytest.raises(RunError, match="cannot be read"):
        read_events(path)


def test_a_folder_that_is_not_there_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="could not be written"):
        Journal(tmp_path / "absent" / "events.jsonl")
