"""How much memory training MNIST takes, and whether it grows.

    python benchmarks/memory.py [--quick] [--epochs 50] [--write]

`striate.train` with the recipe for MNIST in a process of its own, with cold caches. Its resident memory is read at the
end of each epoch, its peak (the audit, the judging and the report included) at the end. The memory-mapped cache of
decoded images counts with the pages that are resident.

Growth is the median of the last ten epochs over the median of the second to eleventh: the first one still fills
buffers. (With fewer than fifty epochs, of the last fifth and of as many after the first.) Linux only: it is asked of
`/proc`. Targets: the peak below 700 MB, and a growth below 1 % of it.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from statistics import median

from _measure import Figures, write_result
from _sides import real_data, run_side

MOST_MB, MOST_GROWTH = 700, 0.01


def growth(resident: Sequence[float]) -> float:
    """By which share the memory of the last epochs exceeds that of the first ones after the first."""
    few = max(1, len(resident) // 5)
    return median(resident[-few:]) / median(resident[1 : 1 + few]) - 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=50)
    parser.add_argument("--quick", action="store_true", help="five epochs: to see that it works")
    parser.add_argument("--write", action="store_true", help="write results/memory.md and .json")
    arguments = parser.parse_args()
    epochs = 5 if arguments.quick else arguments.epochs
    answer = run_side("striate_memory", str(real_data("mnist")), str(epochs))
    resident, peak = answer["resident_mb"], answer["peak_mb"]
    shown = sorted({1, 2, epochs // 5, epochs // 2, epochs} - {0})
    rows = [(f"after epoch {epoch}", f"{resident[epoch - 1]:.0f}") for epoch in shown]
    table = Figures(
        ("resident memory", "MB"),
        (*rows, ("most at any time", f"{peak:.0f}")),
        "One training; 1 MB is 1,000,000 bytes.",
    )
    note = (
        f"{epochs} epochs of MNIST: at most {peak:.0f} MB (target: below {MOST_MB}), growth {growth(resident):+.2%} "
        f"(target: below {MOST_GROWTH:.0%})."
    )
    print(f"{table.markdown()}\n{note}")
    if arguments.write:
        write_result("memory", "Memory of training MNIST", {"striate train mnist": table}, [note])


if __name__ == "__main__":
    main()
