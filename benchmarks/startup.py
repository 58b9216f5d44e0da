"""How soon `striate --help` answers and `import striate` is done, and that neither loads torch.

    python benchmarks/startup.py [--quick] [--rounds 15] [--write]

Each command is a process of its own, timed from its start to its end, in turn with an empty Python process, whose time
is told beside it. What was imported is asked of Python itself (`-X importtime`).

Target: `striate --help` within 0.2 s.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from statistics import median

from _measure import Figures, in_turn, write_result

COMMANDS = {
    "an empty Python process": ["-c", "pass"],
    "import striate": ["-c", "import striate"],
    "striate --help": ["-m", "striate", "--help"],
}
HEAVY = ("torch", "numpy", "matplotlib", "PIL")
MOST_SECONDS = 0.2


def seconds(arguments: list[str]) -> float:
    """Of one process from start to end."""
    start = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
    return time.perf_counter() - start


def heavy_imports(arguments: list[str]) -> list[str]:
    """Those of `HEAVY` that the process imported."""
    told = subprocess.run(
        [sys.executable, "-X", "importtime", *arguments], check=True, capture_output=True, text=True
    ).stderr
    imported = {line.rpartition("|")[2].strip() for line in told.splitlines()}
    return [name for name in HEAVY if name in imported]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--quick", action="store_true", help="three rounds: to see that it works")
    parser.add_argument("--write", action="store_true", help="write results/startup.md and .json")
    arguments = parser.parse_args()
    rounds = 3 if arguments.quick else arguments.rounds
    found: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for command in COMMANDS.values():
        seconds(command)  # so that files are in the system's cache and modules compiled, as from the second time on
    for name in in_turn(list(COMMANDS), rounds):
        found[name].append(seconds(COMMANDS[name]))
    loaded = {name: heavy_imports(command) for name, command in COMMANDS.items()}
    table = Figures(
        ("process", "seconds", "lowest – highest", "of torch, numpy, matplotlib, Pillow it imports"),
        tuple(
            (name, f"{median(times):.3f}", f"{min(times):.3f} – {max(times):.3f}", ", ".join(loaded[name]) or "none")
            for name, times in found.items()
        ),
        f"Medians of {rounds} interleaved rounds.",
    )
    answers = median(found["striate --help"])
    note = f"`striate --help` answers within {answers:.2f} s (target: {MOST_SECONDS:.2f} s)."
    print(f"{table.markdown()}\n{note}")
    if arguments.write:
        write_result("startup", "From the command to the help", {"Processes": table}, [note])


if __name__ == "__main__":
    main()
