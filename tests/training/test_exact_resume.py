"""A training that is killed and resumed gives bit for bit the weights and the events of one that was not.

Thirty kills: at each boundary of a checkpoint's write, and at seeded steps, with 0, 1 and 4 threads that decode.
"""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest

from rehearsal.resume import BOUNDARIES, STEPS, Kill, Session, in_process, make_pictures, outcome, server
from striate.core.rng import Stream

THREADS = (0, 1, 4)
# The second file of a session that saves at every epoch is the best of the first epoch, the fourth that of a later one.
AT_BOUNDARIES = [
    Session(threads, kill=Kill(boundary, 2 + (number + threads) % 3))
    for threads in THREADS
    for number, boundary in enumerate(BOUNDARIES)
]
AT_STEPS = [
    Session(threads, every_step=number % 2 == 0, kill=Kill(None, 1 + int(bits % STEPS)))
    for threads in THREADS
    for number, bits in enumerate(Stream(2026, "kills").bits(epoch=0, index=threads, draws=4)[0])
]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("resume") / "pictures"
    make_pictures(folder)
    return folder


@pytest.fixture(scope="module")
def uninterrupted(pictures: Path) -> tuple[str, list[dict[str, Any]]]:
    run = pictures.parent / "uninterrupted"
    run.mkdir()
    assert in_process(server(), pictures, run, Session()) == 0
    return outcome(run)


def test_there_are_thirty_kills_and_the_training_is_long_enough_for_each() -> None:
    assert len(AT_BOUNDARIES) + len(AT_STEPS) == 30
    assert len({session.kill for session in AT_STEPS}) > 8


def test_the_uninterrupted_training_learns_and_tells_it(uninterrupted: tuple[str, list[dict[str, Any]]]) -> None:
    events = uninterrupted[1]
    steps = [event["clock"]["step"] for event in events if event["event"] == "step"]
    assert steps == [3, 6, 9, 12, 15, 18, 21, 24]
    assert len({event["loss"] for event in events if event["event"] == "step"}) == 8
    assert [event["clock"]["step"] for event in events if event["event"] == "evaluated"] == [6, 12, 18, 24]


def name(session: Session) -> str:
    assert session.kill is not None
    return f"{session.threads} threads, {session.kill.boundary or 'step'} {session.kill.count}"


@pytest.mark.parametrize("session", AT_BOUNDARIES + AT_STEPS, ids=name)
def test_killed_and_resumed_is_uninterrupted(
    session: Session, pictures: Path, uninterrupted: tuple[str, list[dict[str, Any]]], tmp_path: Path
) -> None:
    assert in_process(server(), pictures, tmp_path, session) == -signal.SIGKILL
    assert in_process(server(), pictures, tmp_path, Session(session.threads)) == 0
    weights, events = outcome(tmp_path)
    assert events == uninterrupted[1]
    assert weights == uninterrupted[0]
    left_over = [path.name for path in (tmp_path / "checkpoints").iterdir() if not path.name.startswith("step-")]
    assert left_over == []
