"""Decoding and the training step beside an earlier commit: python benchmarks/before.py [COMMIT] [--rounds N] [--write]

Both run in processes of their own, which take turns. A rate is per second of processor time of one thread, so that
other programs disturb it less. The data are the photos in `$STRIATE_DATA/photos-dog-cat`, and small images made of
them.
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
JOBS = ("photos (JPEG)", "32×32 (JPEG)", "32×32 (PNG)", "128×96 (PNG)", "resnet20 32×32 b128", "tiny_vgg 64×64 b32")


def rate(source: Path, job: str) -> float:
    """Images per second of processor time by the code in `source`, in a process of its own."""
    data = str(real_data("photos-dog-cat").parent)
    environment = {**os.environ, "PYTHONPATH": str(source), "OMP_NUM_THREADS": "1", "STRIATE_DATA": data}
    command = [sys.executable, str(HERE / "sides" / "before_side.py"), job]
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    return float(done.stdout)


def instruction_set() -> str:
    """The vector instructions of the processor that decide a speed."""
    flags = re.search(r"^flags\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    known = [flag for flag in ("avx", "avx2", "fma", "avx512f", "amx_tile") if flags and flag in flags[1].split()]
    return f"Vector instructions: {', '.join(known) or 'none known'}."


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("commit", nargs="?", default=COMMIT)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--write", action="store_true", help="write results/before.md and .json")
    chosen = parser.parse_args()
    tables = {}
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "before"
        git = ["git", "-C", str(HERE.parent), "worktree"]
        subprocess.run([*git, "add", "--detach", str(tree), chosen.commit], check=True, capture_output=True)
        try:
            sources = {chosen.commit: tree / "src", "now": HERE.parent / "src"}
            for job in JOBS:
                rates: dict[str, list[float]] = {name: [] for name in sources}
                for name in in_turn(list(sources), chosen.rounds):
                    rates[name].append(rate(sources[name], job))
                tables[job] = tabulate(rates, unit="images per CPU second")
                print(f"{job}\n{tables[job].markdown()}\n", flush=True)
        finally:
            subprocess.run([*git, "remove", "--force", str(tree)], check=False)
    if chosen.write:
        write_result("before", f"Now beside commit {chosen.commit}", tables, [instruction_set()])


if __name__ == "__main__":
    main()
