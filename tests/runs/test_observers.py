"""Events for other programs: TensorBoard's files against the specification and its own reader, and CSV."""

from __future__ import annotations

import csv
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import striate
from reference.tensorboard import bitwise_crc32c, read_event_file
from striate.core.errors import ConfigError, RunError
from striate.runs.folder import Run
from striate.runs.observers import comma_separated, write_events
from striate.runs.plan import make_plan
from striate.runs.tensorboard import crc32c, tensorboard, varint


def _wall(at: float, seconds: float) -> dict[str, float]:
    return {"at": at, "seconds": seconds}


EVENTS: list[dict[str, Any]] = [
    {"event": "started", "seed": 0, "wall": {"at": 1000.5}},
    {"event": "step", "clock": {"epoch": 0, "step": 3}, "loss": 0.75, "lr": 0.1, "wall": _wall(1001.0, 0.5)},
    {"event": "step", "clock": {"epoch": 1, "step": 300}, "loss": 0.5, "lr": 0.05, "wall": _wall(1002.0, 1.5)},
    {
        "event": "evaluated",
        "clock": {"epoch": 1, "step": 300},
        "scores": {"loss": 0.6, "accuracy": 0.875},
        "wall": {"at": 1003.0, "seconds": 1.5},
    },
    {"event": "finished", "clock": {"epoch": 1, "step": 300}, "reason": "trained for 1ep", "best_step": 300},
]  # fmt: skip


def test_checksums_are_those_of_rfc_3720() -> None:
    """RFC 3720, appendix B.4."""
    known = {
        bytes(32): 0x8A9136AA,
        bytes([255] * 32): 0x62A8AB43,
        bytes(range(32)): 0x46DD794E,
        bytes(range(31, -1, -1)): 0x113FDB5C,
    }
    assert {data: crc32c(data) for data in known} == known
    data = np.random.default_rng(0).bytes(100)
    assert crc32c(data) == bitwise_crc32c(data)


def test_the_first_record_has_the_bytes_that_the_specification_gives() -> None:
    message = bytes.fromhex("09 0000000000408f40 1a 0d") + b"brain.Event:2"  # 1000.0 as a double, and the version
    data = tensorboard([{"event": "started", "wall": {"at": 1000.0}}])
    assert data[:8] == struct.pack("<Q", len(message))
    assert data[12:-4] == message
    assert [varint(number).hex() for number in (0, 1, 127, 128, 300, 2**32)] == [
        "00", "01", "7f", "8001", "ac02", "8080808010",
    ]  # fmt: skip


def test_an_event_file_holds_every_number_at_its_step() -> None:
    head, *found = read_event_file(tensorboard(EVENTS))
    assert head == {"time": 1000.5, "step": 0, "version": "brain.Event:2", "values": {}}
    assert [(each["step"], each["time"]) for each in found] == [(3, 1001.0), (300, 1002.0), (300, 1003.0)]
    expected = [
        {"loss/train": 0.75, "learning_rate": 0.1},
        {"loss/train": 0.5, "learning_rate": 0.05},
        {"loss/val": 0.6, "accuracy/val": 0.875},
    ]
    assert [each["values"] for each in found] == [pytest.approx(values, rel=1e-7) for values in expected]


def test_the_record_of_a_step_is_the_one_written_by_hand() -> None:
    """event.proto: wall_time 1, step 2, summary 5; summary.proto: value 1; in it tag 1 and simple_value 2."""
    loss = bytes.fromhex("0a 0a") + b"loss/train" + bytes.fromhex("15 0000003f")  # 0.5 as a float
    rate = bytes.fromhex("0a 0d") + b"learning_rate" + bytes.fromhex("15 0000803d")  # 1/16
    summary = bytes([0x0A, len(loss)]) + loss + bytes([0x0A, len(rate)]) + rate
    message = bytes.fromhex("09 0000000000508f40 10 ac02 2a") + bytes([len(summary)]) + summary  # 1002.0, step 300
    step = {"event": "step", "clock": {"epoch": 1, "step": 300}, "loss": 0.5, "lr": 0.0625, "wall": _wall(1002.0, 1)}
    data = tensorboard([step])[8 + 4 + 24 + 4 :]  # after the record of the version
    assert data[:8] == struct.pack("<Q", len(message))
    assert data[12:-4] == message
    for part, stored in ((data[:8], data[8:12]), (message, data[-4:])):
        crc = bitwise_crc32c(part)
        assert struct.unpack("<I", stored)[0] == ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def test_a_table_has_a_row_for_each_event() -> None:
    rows = list(csv.DictReader(comma_separated(EVENTS).decode().splitlines()))
    assert [row["event"] for row in rows] == [event["event"] for event in EVENTS]
    assert rows[2] == {
        "event": "step", "time": "1002.0", "seconds": "1.5", "epoch": "1", "step": "300", "loss": "0.5",
        "learning_rate": "0.05", "val_loss": "", "val_accuracy": "",
    }  # fmt: skip
    assert (rows[3]["val_loss"], rows[3]["val_accuracy"]) == ("0.6", "0.875")


@pytest.mark.parametrize("encode", [tensorboard, comma_separated])
def test_new_events_are_appended_so_that_a_reader_can_follow(tmp_path: Path, encode: Any) -> None:
    path = tmp_path / "new" / "events"
    write_events(path, encode(EVENTS[:4]))
    before = path.stat().st_ino
    write_events(path, encode(EVENTS))
    assert path.read_bytes() == encode(EVENTS)
    assert path.stat().st_ino == before
    write_events(path, encode(EVENTS[:2]))  # of a run that went back to a checkpoint
    assert path.read_bytes() == encode(EVENTS[:2])


def test_the_verb_writes_into_the_run_and_refuses_other_forms(tmp_path: Path) -> None:
    run = Run(tmp_path / "mine")
    run.path.mkdir()
    make_plan("photos", "digits", {}).write(run)
    with pytest.raises(RunError, match=r"events\.jsonl"):
        striate.events(run)
    run.events_file.write_text('{"event": "started"}\n')
    assert striate.events(run, to="tensorboard") == run.path / "events.out.tfevents.striate"
    assert striate.events(run).read_text().splitlines()[1:] == ["started,,,,,,"]
    with pytest.raises(ConfigError, match="There is no form of events 'wandb'"):
        striate.events(run, to="wandb")
    with pytest.raises(ConfigError, match="written to a file; received the folder"):
        striate.events(run, out=tmp_path)
    for to in ("csv", "tensorboard"):
        with pytest.raises(ConfigError, match=r"events\.jsonl exists, and is no earlier file of events in this form"):
            striate.events(run, to=to, out=run.events_file)
    assert run.events_file.read_text() == '{"event": "started"}\n'
