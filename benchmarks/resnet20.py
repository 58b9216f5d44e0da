"""ResNet-20 on CIFAR-10: steps and whole training of Striate against plain PyTorch and Keras 3 on JAX.

    python benchmarks/resnet20.py [--cifar10 FOLDER] [--rounds 12] [--quick] [--write]

All learn from batches of 128 images of 32×32 pixels by SGD with momentum, each in a process of its own, in turn, a
slice of ten steps each.

`A step`: gradient and update on one batch that is repeated; Striate by the plan that it chooses, PyTorch as written.

`Loading, augmentation and step`: Striate by the recipe `resnet_2015_cifar` (padding by 4 pixels, random crop and flip);
PyTorch by `DataLoader` and torchvision's transforms on Pillow images; Keras by `fit` on ready arrays, with padding,
crop and flip in the model. Each peer has the best of its plain settings, chosen by a first slice of each. Workers of a
`DataLoader` load ahead while the others run, in the peer's favour. What comes before the first slice (for Striate the
audit of the data and the trial of plans, for Keras the compilation) is in a table of its own, with imports.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from _measure import Figures, Table, in_turn, tabulate, write_result
from _sides import StandingSide, real_data
from striate.core.device import computes_in_bf16

MODEL, RECIPE, BATCH, SIDE, STEPS = "resnet20", "resnet_2015_cifar", 128, 32, 10
OURS = "Striate"
TARGETS = {  # how many times as fast Striate is to be: in float32, and with native bf16
    "PyTorch, eager": (1.35, 2.5),
    "PyTorch, DataLoader": (1.6, 3.0),
    "Keras 3 on JAX": (2.5, 6.0),
}


@dataclass(frozen=True)
class Side:
    """A module of `sides` with its arguments, one list for each of the plain settings to choose from."""

    module: str
    settings: Sequence[tuple[str, ...]]
    environment: Mapping[str, str] = field(default_factory=dict)


def step_sides() -> dict[str, Side]:
    """Return the sides that repeat a batch."""
    return {
        "PyTorch, eager": Side("resnet20_torch", [("", "none", str(STEPS))]),
        OURS: Side("striate_step", [(MODEL, str(BATCH), str(SIDE), str(STEPS))]),
    }


def whole_sides(cifar10: Path) -> dict[str, Side]:
    """Return the sides that load and augment."""
    data, steps = str(cifar10), str(STEPS)
    return {
        "PyTorch, DataLoader": Side("resnet20_torch", [(data, workers, steps) for workers in ("0", "2")]),
        OURS: Side("striate_steps", [(data, RECIPE, steps)]),
        "Keras 3 on JAX": Side(
            "resnet20_keras",
            [(data, layout, steps) for layout in ("channels_last", "channels_first")],
            {"KERAS_BACKEND": "jax"},
        ),
    }


def started(side: Side) -> tuple[StandingSide, tuple[str, ...], float]:
    """Return the side with its best settings, these, and the seconds from the start of its process to its readiness."""
    trials = []
    for arguments in side.settings:
        begun = time.perf_counter()
        standing = StandingSide(side.module, *arguments, environment=side.environment)
        trials.append((standing, arguments, time.perf_counter() - begun))
    if len(trials) == 1:
        return trials[0]
    seconds = [standing.work() for standing, _, _ in trials]
    best = min(range(len(trials)), key=seconds.__getitem__)
    for place, (standing, _, _) in enumerate(trials):
        if place != best:
            standing.finish()
    return trials[best]


def compared(sides: Mapping[str, Side], rounds: int) -> tuple[Table, Figures]:
    """Return images per second, round by round, and what came before with what each reached."""
    standing = {name: started(side) for name, side in sides.items()}
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for name in in_turn(list(sides), rounds):
        seconds[name].append(standing[name][0].work())
    answers: dict[str, dict[str, Any]] = {name: side.finish() for name, (side, _, _) in standing.items()}
    rates = {name: [answers[name]["images"] / each for each in found] for name, found in seconds.items()}
    rows = []
    for name, (_, arguments, before) in standing.items():
        answer = answers[name]
        told = answer.get("execution", ", ".join(arguments[1:-1]))
        rows.append((name, f"{before:.1f}", f"{answer['parameters']:,}", f"{answer['losses'][-1]:.2f}", told))
    columns = ("", "seconds before the first slice", "parameters", "last loss", "settings")
    return tabulate(rates, unit="images/s"), Figures(columns, tuple(rows), f"Slices are of {STEPS} steps.")


def verdicts(table: Table) -> list[str]:
    """Return the ratio of Striate to each peer, in the median of the rounds, beside its target."""
    sentences = []
    native = computes_in_bf16("cpu")
    for row in table.rows:
        if row.name != OURS:
            ratio = median(ours / theirs for ours, theirs in zip(table[OURS].rates, row.rates, strict=True))
            target = TARGETS[row.name][native]
            sentences.append(f"Striate is {ratio:.2f} times as fast as {row.name} (target: {target}).")
    return sentences


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cifar10", type=Path, help="the folder of the binary batches; by default the real data's")
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--quick", action="store_true", help="one round: to see that it works")
    parser.add_argument("--write", action="store_true", help="write results/resnet20.md and .json")
    arguments = parser.parse_args()
    cifar10 = arguments.cifar10 or real_data("cifar10") / "cifar-10-batches-bin"
    rounds = 1 if arguments.quick else arguments.rounds
    tables: dict[str, Table | Figures] = {}
    notes = []
    with tempfile.TemporaryDirectory() as cache:
        os.environ["STRIATE_CACHE"] = cache
        for heading, sides in (
            ("A step", step_sides()),
            ("Loading, augmentation and step", whole_sides(cifar10)),
        ):
            table, before = compared(sides, rounds)
            tables |= {heading: table, f"{heading}: before the first slice": before}
            notes += [f"{heading}: {sentence}" for sentence in verdicts(table)]
    print("\n\n".join(f"{heading}\n{each.markdown()}" for heading, each in tables.items()), *notes, sep="\n")
    if arguments.write:
        write_result("resnet20", "ResNet-20 on CIFAR-10", tables, notes)


if __name__ == "__main__":
    main()
