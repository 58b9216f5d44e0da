"""What our networks cost beside torchvision's: time and memory of a training step and of a forward pass.

    python benchmarks/zoo_cost.py [--quick] [--rounds 9] [--batch 8] [--threads N] [--only NETWORK] [--write]

Six networks, float32, images of 224×224 with their channels last in memory, the same number of threads. A training
step is forward, cross-entropy, backward and SGD with momentum. Ours runs forward twice: as built, and as a `Classifier`
runs it, with batch norms folded into convolutions. Each side of each task is a process of its own, which is asked for
one piece of work a round, in turn with the others; ratios of time are taken within a round, memory is the most that the
process ever had. All of it once with glibc's allocator told to keep freed buffers (what `striate train` does), for both
sides, and once without.

Targets, of ours to torchvision's: a training step at most 1.05 times the time, a forward pass 1.10 as built and 1.00
through `Classifier`, and 1.15 times the memory.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from _measure import Figures, in_turn, write_result
from _sides import StandingSide
from sides.zoo_step import Job, Task

NETWORKS = ("resnet50", "vgg16", "densenet121", "mobilenet_v2", "efficientnet_b0", "convnext_tiny")
MOST_MEMORY = 1.15
_SIDE = 224


@dataclass(frozen=True)
class Quantity:
    """A table of the results: our `task`, beside the judge's, and the target of the ratio of their times."""

    heading: str
    task: Task
    judged_by: Task
    target: float


QUANTITIES = (
    Quantity("Training step", "training", "training", 1.05),
    Quantity("Forward pass, as built", "forward", "forward", 1.10),
    Quantity("Forward pass, through Classifier", "classifier", "forward", 1.00),
)
# Which contestants meet in one go: ours or the judge's, and the task.
_HEATS: tuple[tuple[tuple[bool, Task], ...], ...] = (
    ((False, "training"), (True, "training")),
    ((False, "forward"), (True, "forward"), (True, "classifier")),
)


@dataclass(frozen=True)
class Found:
    """One contestant: the seconds of each round, and the most memory."""

    seconds: tuple[float, ...]
    peak_bytes: int
    parameters: int


Findings = dict[tuple[str, bool, bool, Task], Found]


def heat(network: str, tuned: bool, contestants: Sequence[tuple[bool, Task]], rounds: int, **size: int) -> Findings:
    """Run the contestants in turn, round after round; the first round is not counted."""
    jobs: dict[tuple[bool, Task], Job] = {
        (ours, task): Job(network=network, ours=ours, task=task, tuned=tuned, **size) for ours, task in contestants
    }
    sides = {str(key): StandingSide("zoo_step", job.to_argument()) for key, job in jobs.items()}
    for side in sides.values():
        side.work()
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for name in in_turn(list(sides), rounds):
        seconds[name].append(sides[name].work())
    answers = {name: side.finish() for name, side in sides.items()}
    counts = {answer["parameters"] for answer in answers.values()}
    if len(counts) > 1:
        raise SystemExit(f"{network} is not the same on both sides: {counts} parameters.")
    return {
        (network, tuned, ours, task): Found(tuple(seconds[name]), **answers[name])
        for (ours, task), name in zip(jobs, sides, strict=True)
    }


def ratios(findings: Findings, network: str, tuned: bool, quantity: Quantity) -> list[float]:
    """Of our time to the judge's, round by round."""
    ours = findings[network, tuned, True, quantity.task].seconds
    judge = findings[network, tuned, False, quantity.judged_by].seconds
    return [mine / theirs for mine, theirs in zip(ours, judge, strict=True)]


def memory(findings: Findings, network: str, tuned: bool, quantity: Quantity) -> float:
    ours = findings[network, tuned, True, quantity.task].peak_bytes
    return ours / findings[network, tuned, False, quantity.judged_by].peak_bytes


def table_of(findings: Findings, networks: Sequence[str], quantity: Quantity, batch: int) -> Figures:
    rows = []
    for network in networks:
        tuned, plain = (ratios(findings, network, setting, quantity) for setting in (True, False))
        ours = findings[network, True, True, quantity.task]
        judge = findings[network, True, False, quantity.judged_by]
        rows.append(
            (
                network,
                f"{1000 * median(judge.seconds) / batch:.1f}",
                f"{1000 * median(ours.seconds) / batch:.1f}",
                f"{median(tuned):.3f}",
                f"{min(tuned):.2f} – {max(tuned):.2f}",
                f"{median(plain):.3f}",
                f"{min(plain):.2f} – {max(plain):.2f}",
                f"{judge.peak_bytes / 1e6:,.0f}",
                f"{memory(findings, network, True, quantity):.2f}",
                f"{memory(findings, network, False, quantity):.2f}",
            )
        )
    columns = ("network", "torchvision ms/picture", "ours", "ratio", "lowest – highest")
    columns += ("ratio without the setting", "lowest – highest", "torchvision MB", "memory", "memory without")
    rounds = len(next(iter(findings.values())).seconds)
    return Figures(columns, tuple(rows), f"Medians of {rounds} interleaved rounds, and of the ratios of each round.")


def verdict(findings: Findings, networks: Sequence[str], quantity: Quantity) -> str:
    """The worst network of a table, beside the targets."""
    times = {network: median(ratios(findings, network, True, quantity)) for network in networks}
    sizes = {network: memory(findings, network, True, quantity) for network in networks}
    slowest, largest = max(times, key=times.__getitem__), max(sizes, key=sizes.__getitem__)
    return (
        f"{quantity.heading}: at most {times[slowest]:.3f} times torchvision's time ({slowest}; target: "
        f"{quantity.target:.2f}) and {sizes[largest]:.2f} times its memory ({largest}; target: {MOST_MEMORY})."
    )


def measure(networks: Sequence[str], rounds: int, size: Mapping[str, int]) -> Findings:
    findings: Findings = {}
    for network in networks:
        for tuned in (True, False):
            for contestants in _HEATS:
                findings |= heat(network, tuned, contestants, rounds, **size)
            told = (f"{median(ratios(findings, network, tuned, each)):.3f}" for each in QUANTITIES)
            print(f"{network}, {'with' if tuned else 'without'} the setting: {', '.join(told)}", flush=True)
    return findings


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--only", choices=NETWORKS, action="append", help="this network (may be given again)")
    parser.add_argument("--quick", action="store_true", help="one round of one image: to see that it works")
    parser.add_argument("--write", action="store_true", help="write results/zoo_cost.md and .json")
    arguments = parser.parse_args()
    networks: Sequence[str] = arguments.only or NETWORKS
    rounds, batch = (1, 1) if arguments.quick else (arguments.rounds, arguments.batch)
    size: dict[str, Any] = {"batch": batch, "side": _SIDE, "threads": arguments.threads}
    findings = measure(networks, rounds, size)
    tables = {quantity.heading: table_of(findings, networks, quantity, batch) for quantity in QUANTITIES}
    notes = [
        f"float32, batches of {batch} images of {_SIDE}×{_SIDE}, channels last, {arguments.threads} threads. "
        f"The setting: glibc's allocator told to keep freed buffers, on both sides.",
        *(verdict(findings, networks, quantity) for quantity in QUANTITIES),
    ]
    print("\n\n".join(f"{heading}\n{table.markdown()}" for heading, table in tables.items()), *notes, sep="\n")
    if arguments.write:
        write_result("zoo_cost", "The zoo's networks beside torchvision's", tables, notes)


if __name__ == "__main__":
    main()
