"""Decoding and the training step beside an earlier commit: python benchmarks/before.py [COMMIT] [--rounds N] [--write]

Both run in processes of their own, which take turns. A rate is per second of processor time of one thread, so that
other programs disturb it less. The data are the photos in `$STRIATE_DATA/photos-dog-cat`, and small images made of
them. Where a training step runs the same operations on the same tensors at both commits, its ratio shows the noise.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from _measure import in_turn, tabulate, write_result
from _sides import real_data

COMMIT = "db4d34f"
HERE = Path(__file__).parent
JOBS = ("photos (JPEG)", "32×32 (JPEG)", "32×32 (PNG)", "128×96 (PNG)", "resnet20 32×32 b32", "tiny_vgg 64×64 b32")


def rate(source: Path, job: str) -> tuple[float, str]:
    """Images per second of processor time by the code in `source`, in a process of its own, and its operations."""
    data = str(real_data("photos-dog-cat").parent)
    environment = {**os.environ, "PYTHONPATH": str(source), "OMP_NUM_THREADS": "1", "STRIATE_DATA": data}
    command = [sys.executable, str(HERE / "sides" / "before_side.py"), job]
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    per_second, _, operations = done.stdout.strip().partition(" ")
    return float(per_second), operations


def instruction_set() -> str:
    """The vector instructions of the processor that decide a speed."""
    flags = re.search(r"^flags\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    known = [flag for flag in ("avx", "avx2", "fma", "avx512f", "amx_tile") if flags and flag in flags[1].split()]
    return f"Vector instructions: {', '.join(known) or 'none known'}."


def _comparison(job: str, operations: dict[str, str]) -> str:
    """Tell whether the sides of a training step run the same operations."""
    if len(set(operations.values())) == 1:
        return f"A step of {job}: the same {next(iter(operations.values()))} at both commits."
    return f"A step of {job} differs: " + "; ".join(f"{name}: {ran}" for name, ran in operations.items()) + "."


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("commit", nargs="?", default=COMMIT)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--write", action="store_true", help="write results/before.md and .json")
    chosen = parser.parse_args()
    tables, notes = {}, [instruction_set()]
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "before"
        git = ["git", "-C", str(HERE.parent), "worktree"]
        subprocess.run([*git, "add", "--detach", str(tree), chosen.commit], check=True, capture_output=True)
        try:
            sources = {chosen.commit: tree / "src", "now": HERE.parent / "src"}
            for job in JOBS:
                rates: dict[str, list[float]] = {name: [] for name in sources}
                operations: dict[str, str] = {}
                for name in in_turn(list(sources), chosen.rounds):
                    per_second, operations[name] = rate(sources[name], job)
                    rates[name].append(per_second)
                tables[job] = tabulate(rates, unit="images per CPU second")
                print(f"{job}\n{tables[job].markdown()}\n", flush=True)
                if " b" in job:
                    notes.append(_comparison(job, operations))
                    print(notes[-1], flush=True)
        finally:
            subprocess.run([*git, "remove", "--force", str(tree)], check=False)
    if chosen.write:
        write_result("before", f"Now beside commit {chosen.commit}", tables, notes)


if __name__ == "__main__":
    main()
