"""Measure the memory and the time of a training step: whole, in pieces, and with activations computed again.

    python benchmarks/step_memory.py [--quick] [--write]

Each row is a process of its own, forked from this one: it builds the network, computes the gradient of one batch of
random images on the CPU under an execution plan, and reads by how much its peak resident memory (`VmHWM` of /proc)
exceeds the memory before. That is the memory of activations, gradients and workspaces, without weights. The time is
that of the processor. Linux only.
"""

from __future__ import annotations

import argparse
import multiprocessing
import time
from pathlib import Path
from typing import Any

import torch

from _measure import Figures, write_result
from striate.core.batch import Batch
from striate.core.device import ExecutionPlan
from striate.models import build_model
from striate.tasks import Classification
from striate.training.backward import backward
from striate.training.losses import CrossEntropy

NETWORKS = ("resnet50", "densenet121", "vgg16")
SIDE = 64
BATCH = 16
PLANS: dict[str, dict[str, Any]] = {
    "whole batch": {},
    "micro_batch 4": {"micro_batch": 4},
    "recompute": {"recompute": True},
    "both": {"micro_batch": 4, "recompute": True},
}


def resident(field: str) -> float:
    """Return a size from /proc/self/status in MB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{field}:")) * 1024 / 1e6


def measure(name: str, side: int, plan: str) -> tuple[float, float]:
    """Return the MB and the processor seconds of a step."""
    torch.set_num_threads(1)
    chosen = ExecutionPlan(**PLANS[plan])
    network = build_model(name, seed=0, classes=10, channels=3, size=(side, side)).train()
    task = Classification(criterion=CrossEntropy())

    def batch(count: int) -> Batch:
        return Batch(torch.randn(count, 3, side, side), torch.arange(count) % 10, torch.arange(count))

    backward(network, task, batch(2), chosen)  # gradients, and what libraries allocate once
    whole = batch(BATCH)
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins here
    before, start = resident("VmRSS"), time.process_time()
    backward(network, task, whole, chosen)
    return resident("VmHWM") - before, time.process_time() - start


def main() -> None:
    """Measure each network under each plan."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="ResNet-50 only, to see that it works")
    parser.add_argument("--write", action="store_true", help="write results/step_memory.md and .json")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows: list[tuple[str, ...]] = []
    for name in NETWORKS[: 1 if arguments.quick else None]:
        whole: tuple[float, float] | None = None
        for plan in PLANS:
            with multiprocessing.get_context("fork").Pool(1) as process:
                memory, seconds = process.apply(measure, (name, SIDE, plan))
            whole = whole or (memory, seconds)
            rows.append((f"{name}, {plan}", f"{memory:.0f}", f"{memory / whole[0]:.2f}", f"{seconds / whole[1]:.2f}"))
            print(" ".join(rows[-1]), flush=True)
    table = Figures(
        ("training step", "MB", "of the whole batch", "processor time, of the whole batch"),
        tuple(rows),
        f"One step each, {BATCH} images of {SIDE}×{SIDE}, float32, one thread; 1 MB is 1,000,000 bytes. "
        "Memory is the peak beyond that before the step; weights and their gradients are not part of it.",
    )
    if arguments.write:
        write_result("step_memory", "Memory of a training step", {"gradient of one batch": table})


if __name__ == "__main__":
    main()
