"""Hits and false alarms of `striate diagnose`, on runs that were made to have a fault and on runs without.

    python benchmarks/health.py [--quick] [--write]

Every run trains on the digits in the package, on one core, from the seeds 2, 3 and 4; the thresholds were chosen on the
seeds 0 and 1. A hit names the fault that the run was made to have; it is also counted how often that fault, and not a
consequence of it, decides what to try next. A fault named in a run without one is a false alarm. Misses or false alarms
in more than a tenth of the runs end the program with an error.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

os.environ.update(OMP_NUM_THREADS="1", MKL_NUM_THREADS="1")  # before torch is imported

import numpy as np
import torch
from torch import nn

import striate
from _measure import Figures, write_result
from striate.core.errors import TrainingError
from striate.data.dataset import SPLITS
from striate.data.sources.opening import open_data
from striate.runs.recipes import RECIPES

SEEDS = (2, 3, 4)
SIDE = 32  # pixels of the digits as the recipe prepares them
RATE = RECIPES["digits"]().optimizer.lr
NORMED = "conv3-16 bn relu pool2 conv3-32 bn relu pool2"
CONSTANT, PLAIN = ["schedule.name=constant"], ["augmentation=none"]


def layers(
    function: Callable[[], nn.Module], depth: int, *, gain: float = 1.0, bias: float = 0.0
) -> type[nn.Sequential]:
    """Return a network of `depth` hidden layers of 64 units, with `gain` times the weights of He's initialization."""

    class Layers(nn.Sequential):
        def __init__(self) -> None:
            modules: list[nn.Module] = [nn.Flatten()]
            width = SIDE * SIDE
            for _ in range(depth):
                layer = nn.Linear(width, 64)
                nn.init.kaiming_normal_(layer.weight)
                layer.weight.data *= gain
                nn.init.constant_(layer.bias, bias)
                modules += [layer, function()]
                width = 64
            super().__init__(*modules, nn.Linear(width, 10))

    return Layers


@dataclass(frozen=True)
class Case:
    """Runs with the same fault; `fault` is its name, "" for none."""

    name: str
    fault: str
    settings: dict[str, Any] = field(default_factory=dict)
    data: Literal["digits", "few", "shuffled"] = "digits"


CASES = (
    Case("fc128 relu", "", {"model": "fc128 relu"}),
    Case("lenet5", "", {"model": "lenet5", "lr": 0.02}),
    Case("lenet5, constant rate", "", {"model": "lenet5", "lr": 0.01, "set": CONSTANT}),
    Case("lenet5, AdamW", "", {"model": "lenet5", "optimizer": "adamw", "lr": 0.002}),
    Case("two convolutions with batch norm", "", {"model": NORMED}),
    Case("batch norm, and a layer of 64 units", "", {"model": f"{NORMED} fc64 relu"}),
    Case("three layers of tanh", "", {"model": layers(nn.Tanh, 3)}),
    Case("60 training images", "over-fitting", {"model": "fc128 relu", "epochs": 60}, "few"),
    Case("labels at random", "memorized", {"model": "lenet5", "lr": 0.01, "epochs": 60, "set": PLAIN}, "shuffled"),
    Case("a hidden layer of 2 units", "under-fitting", {"model": "fc2 relu"}),
    Case("rate × 100, fc128 relu", "too high", {"model": "fc128 relu", "lr": 100 * RATE}),
    Case("rate × 100, batch norm", "too high", {"model": NORMED, "lr": 100 * RATE}),
    Case("rate × 100, AdamW", "too high", {"model": "lenet5", "optimizer": "adamw", "lr": 0.2}),
    Case("rate / 1000, fc128 relu", "too low", {"model": "fc128 relu", "lr": RATE / 1000}),
    Case("rate / 1000, constant", "too low", {"model": "lenet5", "lr": RATE / 1000, "set": CONSTANT}),
    Case("eight layers, weights × 0.1", "vanishing", {"model": layers(nn.ReLU, 8, gain=0.1)}),
    Case("eight layers of sigmoid", "vanishing", {"model": layers(nn.Sigmoid, 8)}),
    Case("eight layers, weights × 4", "exploding", {"model": layers(nn.ReLU, 8, gain=4.0)}),
    Case("biases of -10", "dead", {"model": layers(nn.ReLU, 3, bias=-10.0)}),
    Case("sigmoid, weights × 20", "saturated", {"model": layers(nn.Sigmoid, 3, gain=20.0)}),
    Case("tanh, weights × 20", "saturated", {"model": layers(nn.Tanh, 3, gain=20.0)}),
)


def arrays(folder: Path, kind: Literal["digits", "few", "shuffled"]) -> str:
    """Write the digits with 60 training images, or with labels at random; return the file, or the name of the data."""
    if kind == "digits":
        return kind
    digits, found = open_data("digits"), {}
    targets = digits.targets if kind == "few" else np.random.default_rng(0).permutation(digits.targets)
    for split in SPLITS:
        chosen = digits.splits[split][: 60 if (kind, split) == ("few", "train") else None]
        found[f"x_{split}"] = np.stack([digits.store.read(int(number)).pixels for number in chosen])
        found[f"y_{split}"] = targets[chosen]
    np.savez(folder / f"{kind}.npz", allow_pickle=False, **found)
    return str(folder / f"{kind}.npz")


def diagnosed(case: Case, number: int, seed: int, folder: Path) -> list[str]:
    """Train a run of `case`; return the faults that are named, the first cause first."""
    settings = {"epochs": 10, "seed": seed, "device": "cpu", "precision": "float32"} | case.settings
    name = f"{number}-{seed}"
    torch.manual_seed(seed)  # weights of networks made here
    with contextlib.suppress(TrainingError):  # the loss is not finite
        striate.train(arrays(folder, case.data), name=name, runs=folder, **settings)
    return [fault.outcome for fault in striate.diagnose(folder / name).faults]


def row(case: Case, found: list[list[str]]) -> tuple[tuple[str, ...], int]:
    """Return the row of a case, and how many of its runs are wrong."""
    count = len(found)
    others = Counter(outcome for outcomes in found for outcome in outcomes if outcome != case.fault)
    named = ", ".join(f"{outcome} {times}" for outcome, times in others.most_common()) or "–"
    if not case.fault:
        alarms = sum(map(bool, found))
        return (case.name, "none", f"{alarms} of {count} false alarms", "–", named), alarms
    hits = sum(case.fault in outcomes for outcomes in found)
    first = sum(outcomes[:1] == [case.fault] for outcomes in found)
    return (case.name, case.fault, f"{hits} of {count} hits", f"{first} of {count}", named), count - hits


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one seed of six cases")
    parser.add_argument("--write", action="store_true", help="write results/health.md and .json")
    arguments = parser.parse_args()
    striate.show_progress(False)
    cases, seeds = (CASES[::3], SEEDS[:1]) if arguments.quick else (CASES, SEEDS)
    rows, wrong, start = [], Counter[bool](), time.process_time()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for number, case in enumerate(cases):
            cells, mistakes = row(case, [diagnosed(case, number, seed, folder) for seed in seeds])
            rows.append(cells)
            wrong[bool(case.fault)] += mistakes
            print(" | ".join(cells), flush=True)
    sound, faulty = (sum(bool(case.fault) is fault for case in cases) * len(seeds) for fault in (False, True))
    note = (
        f"{faulty - wrong[True]} of {faulty} faults are named, with {wrong[False]} false alarms in {sound} runs "
        f"without a fault. {time.process_time() - start:.0f} s of processor time."
    )
    print(note)
    table = Figures(
        ("run", "made fault", "verdict", "next step against it", "other faults named"),
        tuple(rows),
        f"10 epochs of the digits (1,079 training images; 60 epochs of 60 images and of labels at random), "
        f"seeds {', '.join(map(str, seeds))}.",
    )
    if arguments.write:
        write_result("health", "Faults of trainings that diagnose names", {"Hits and false alarms": table}, [note])
    if max(wrong[True] / faulty, wrong[False] / sound) > 0.1:
        sys.exit("More than a tenth are wrong.")


if __name__ == "__main__":
    main()
