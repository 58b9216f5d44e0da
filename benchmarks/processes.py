"""Train one network on one, two and four processes of this machine, and kill one of them at random.

    python benchmarks/processes.py [--kills 3] [--write]

First, the trainings of the test (`tests/rehearsal/several.py`: gloo, a batch that does not divide, a last one that is
too small) run on 1, 2 and 4 processes; their losses are compared, and the samples of an epoch counted. Then torchrun
trains `digits` on two processes: one worker is killed (signal 9) at a random moment, torchrun starts all again, and the
classifier must have the bytes of an uninterrupted run. The same training is timed on 1, 2 and 4 processes; on a machine
with few cores this measures the cost of communication, not a gain.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from _measure import Figures, write_result
from _runs import training_seconds
from _sides import REPOSITORY

sys.path.insert(0, str(REPOSITORY / "tests"))

from rehearsal.several import CASES, COUNT, learn_all, together
from striate.core.processes import ALONE
from striate.runs.folder import Run

COUNTS = (2, 4)
SETTINGS = ("--model", "mlp", "--epochs", "8", "--batch-size", "64", "--device", "cpu", "--quiet")


def compare(folder: Path) -> Figures:
    """The largest relative difference of a loss from that of one process, and whether each sample was seen once."""
    alone, rows = learn_all(ALONE), []
    for count in COUNTS:
        results, codes = together(count, folder / str(count), learn_all)
        if any(codes):
            raise SystemExit(f"A training on {count} processes failed: {codes}")
        for case in CASES:
            pairs = zip(results[0][case]["losses"], alone[case]["losses"], strict=True)
            worst = max(abs(ours - theirs) / abs(theirs) for ours, theirs in pairs)
            rows.append((case, str(count), f"{worst:.1e}", "yes" if _once(results, case) else "no"))
    return Figures(
        ("training", "processes", "largest relative difference of a loss", "each sample counts once"),
        tuple(rows),
        "Two epochs of 4 steps. `local` has batch norms over the part of each process: the stated difference.",
    )


def _once(results: list[dict[str, Any]], case: str) -> bool:
    counted: Counter[int] = Counter()
    whole = [len({tuple(result[case]["seen"][step][0]) for result in results}) == 1 for step in range(4)]
    for result in results:
        for step, (index, _) in enumerate(result[case]["seen"]):
            if not whole[step] or result is results[0]:
                counted.update(index)
    return sorted(counted) == list(range(COUNT)) and set(counted.values()) == {1}


def command(count: int, runs: Path, name: str, *more: str) -> list[str]:
    """The command that trains on `count` processes."""
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(count), *more]
    train = ["-m", "striate", "train", "digits", "--runs", str(runs), "--name", name]
    return [*torchrun, *train, *SETTINGS]


def workers(agent: int) -> list[int]:
    """The processes that a torchrun command has started."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except (OSError, ValueError):
                continue
            found += [int(entry.name)] if parent == agent else []
    return found


def killed(runs: Path, name: str, seconds: float) -> bool:
    """Kill one worker at a random moment of its training; return whether the classifier is that of `runs/whole`."""
    agent = subprocess.Popen(command(2, runs, name, "--max-restarts", "3"), stderr=subprocess.DEVNULL)
    events = runs / name / "events.jsonl"
    while not events.exists():
        time.sleep(0.05)
    time.sleep(random.SystemRandom().uniform(0, seconds))
    victims = workers(agent.pid)
    if victims:
        os.kill(random.choice(victims), signal.SIGKILL)
    if agent.wait() != 0:
        return False
    weights = [(runs / each / "classifier" / "model.safetensors").read_bytes() for each in (name, "whole")]
    return weights[0] == weights[1]


def stopped(runs: Path) -> bool:
    """Interrupt the group of torchrun as Ctrl-C does; return whether `resume` gives the classifier of `runs/whole`."""
    agent = subprocess.Popen(command(2, runs, "stopped"), stderr=subprocess.DEVNULL, start_new_session=True)
    while not (runs / "stopped" / "events.jsonl").exists():
        time.sleep(0.05)
    time.sleep(0.3)
    os.killpg(agent.pid, signal.SIGINT)
    agent.wait()
    resume = ["-m", "striate", "resume", str(runs / "stopped"), "--quiet"]
    again = subprocess.run([*command(2, runs, "")[:6], *resume], stderr=subprocess.DEVNULL)
    weights = [(runs / each / "classifier" / "model.safetensors").read_bytes() for each in ("stopped", "whole")]
    return again.returncode == 0 and weights[0] == weights[1]


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--write", action="store_true", help="write results/processes.md and .json")
    arguments = parser.parse_args(words)
    with tempfile.TemporaryDirectory() as folder:
        losses = compare(Path(folder) / "losses")
        print(losses.markdown(), flush=True)
        runs = Path(folder) / "runs"
        times = []
        for count, name in ((1, "one"), (2, "whole"), (4, "four")):
            subprocess.run(command(count, runs, name), check=True, stderr=subprocess.DEVNULL)
            times.append((str(count), f"{training_seconds(Run(runs / name)):.2f}"))
        length = float(times[1][1])
        exact = sum(killed(runs, f"killed-{number}", length) for number in range(arguments.kills))
        interrupted = stopped(runs)
    cost = Figures(("processes", "seconds"), tuple(times), "Training of `digits` by `mlp`, 8 epochs, batches of 64.")
    notes = [
        f"{exact} of {arguments.kills} runs with a killed worker ended with the bytes of an uninterrupted one.",
        f"A run that Ctrl-C had stopped {'ended so' if interrupted else 'did not end so'} after `striate resume`.",
    ]
    print(cost.markdown(), *notes, sep="\n")
    if arguments.write:
        write_result("processes", "Several processes", {"Losses": losses, "Time": cost}, notes)
    if exact < arguments.kills or not interrupted:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
