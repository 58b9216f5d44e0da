"""Kill a training at truly random moments, resume it, and compare it with one that was left alone.

    python benchmarks/resume_study.py [--kills 300] [--quick] [--write]

The training is that of the test (`tests/rehearsal/resume.py`: files decoded by 0, 1 or 4 threads, augmentation, batch
normalization, dropout, saving at every epoch or every step), and the moments come from the system's randomness, spread
over the whole time that a training takes, starting up and writing included. A kill that comes too late is not counted.
After each one the training is resumed to its end; the SHA-256 of its final weights and its events, less what the wall
clock decides, must be those of the training that was left alone. Target: every time.
"""

from __future__ import annotations

import argparse
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from _measure import Figures, write_result
from _sides import REPOSITORY

sys.path.insert(0, str(REPOSITORY / "tests"))

from rehearsal.resume import Session, in_process, make_pictures, outcome, server
from striate.training.checkpoint import checkpoint_steps

WAYS = [Session(threads, every_step=every_step) for threads in (0, 1, 4) for every_step in (False, True)]


def name(way: Session) -> str:
    """`1 thread, saved at every step`."""
    threads = "1 thread" if way.threads == 1 else f"{way.threads} threads"
    return f"{threads}, saved at every {'step' if way.every_step else 'epoch'}"


def left_alone(pictures: Path, run: Path, way: Session) -> tuple[tuple[str, list[dict[str, Any]]], float]:
    """The outcome of an uninterrupted training, and how many seconds it takes."""
    run.mkdir()
    started = time.perf_counter()
    if in_process(server(), pictures, run, way):
        raise SystemExit("The training that was left alone failed.")
    return outcome(run), time.perf_counter() - started


def killed(pictures: Path, run: Path, way: Session, seconds: float) -> tuple[int, bool] | None:
    """Kill a training at a random moment of its `seconds`, resume it, and tell how many checkpoints the kill found and
    whether the end is reached without an error; None if the kill came too late."""
    run.mkdir()
    if in_process(server(), pictures, run, way, delay=random.SystemRandom().uniform(0.001, seconds)) == 0:
        return None
    found = len(checkpoint_steps(run / "checkpoints"))
    return found, in_process(server(), pictures, run, way) == 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=300)
    parser.add_argument("--quick", action="store_true", help="ten kills: to see that it works")
    parser.add_argument("--write", action="store_true", help="write results/resume_study.md and .json")
    arguments = parser.parse_args()
    wanted = 10 if arguments.quick else arguments.kills
    kills, equal, begun = Counter[Session](), Counter[Session](), Counter[Session]()
    with tempfile.TemporaryDirectory() as folder:
        pictures = Path(folder) / "pictures"
        make_pictures(pictures)
        left_alone(pictures, Path(folder) / "first", WAYS[0])  # starts the server
        truth, _ = left_alone(pictures, Path(folder) / "truth", WAYS[0])
        lengths = {way: left_alone(pictures, Path(folder) / f"alone {name(way)}", way)[1] for way in WAYS}
        attempt = 0
        while kills.total() < wanted:
            way, run = WAYS[kills.total() % len(WAYS)], Path(folder) / f"run {attempt}"
            attempt += 1
            answer = killed(pictures, run, way, lengths[way])
            if answer is None:
                continue
            found, finished = answer
            kills[way] += 1
            begun[way] += found > 0
            equal[way] += finished and outcome(run) == truth
            print(f"\r{kills.total()} of {wanted} kills, {equal.total()} resumed exactly", end="", flush=True)
    table = Figures(
        ("training", "kills", "of these after the first checkpoint", "resumed exactly"),
        tuple((name(way), str(kills[way]), str(begun[way]), str(equal[way])) for way in WAYS),
        f"Signal {signal.SIGKILL.value} at moments uniform over the time of a whole training.",
    )
    note = f"{equal.total()} of {kills.total()} killed trainings ended with the same weights and events (target: all)."
    print(f"\n{table.markdown()}\n{note}")
    if arguments.write:
        write_result("resume_study", "Killed and resumed", {"Kills": table}, [note])
    if equal.total() < kills.total():
        raise SystemExit(1)


if __name__ == "__main__":
    main()
