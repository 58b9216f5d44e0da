"""Fine-tuning whose batch norms keep the statistics of the weights, or take those of each batch; and features alone.

    python benchmarks/batch_statistics.py --cifar10 FOLDER [--per-class 20 50 100] [--seeds 3] [--write]

For each seed, images of each class of CIFAR-10 are drawn: some to train on from its first batch file, 10 to validate by
from the second, and 50 to test on from its test split. They are enlarged to 96×96. The kinds of training alternate.
Each training is a line of the notebook, so the study continues where it was stopped.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import statistics
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import striate
from _measure import RESULTS, Figures, write_result
from _notebook import Notebook
from striate.training import read_events

KINDS: dict[str, dict[str, object]] = {
    "linear classifier on features": {"transfer.name": "features", "transfer.folds": 1},
    "statistics of the weights kept": {"transfer.name": "full"},
    "statistics of each batch": {"transfer.name": "full", "transfer.batch_statistics": True},
}
FILES = {"train": "data_batch_1.bin", "val": "data_batch_2.bin", "test": "test_batch.bin"}
SIDE, VALIDATED, TESTED = 96, 10, 50


def draw(cifar10: Path, per_class: int, seed: int, folder: Path) -> Path:
    """Write images of each class into `folder`, in splits."""
    draws = np.random.default_rng(seed)
    for (split, name), count in zip(FILES.items(), (per_class, VALIDATED, TESTED), strict=True):
        (file,) = cifar10.rglob(name)
        rows = np.fromfile(file, np.uint8).reshape(-1, 3073)
        for label in range(10):
            (folder / split / f"class {label}").mkdir(parents=True)
            for number in draws.permutation(np.flatnonzero(rows[:, 0] == label))[:count].tolist():
                pixels = rows[number, 1:].reshape(3, 32, 32).transpose(1, 2, 0)
                Image.fromarray(pixels).save(folder / split / f"class {label}" / f"{number}.png")
    return folder


def trained(cifar10: Path, kind: str, per_class: int, epochs: int, seed: int) -> dict[str, Any]:
    """Train once; return the correct answers of the test split and the loss of the first step."""
    with tempfile.TemporaryDirectory() as place:
        data = draw(cifar10, per_class, seed, Path(place) / "images")
        options = dict(KINDS[kind])
        length = None if options["transfer.name"] == "features" else epochs
        run = striate.train(data, size=SIDE, seed=seed, epochs=length, set=options, runs=Path(place) / "runs")
        losses = [event["loss"] for event in read_events(run.events_file) if event["event"] == "step"]
        top1 = run.scores["test"].top1
        return {"correct": top1.correct, "count": top1.count, "first": losses[0] if losses else None}


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n")[0])
    parser.add_argument("--cifar10", type=Path, required=True)
    parser.add_argument("--per-class", type=int, nargs="+", default=[20, 50, 100])
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--notebook", type=Path, default=RESULTS / "batch_statistics.jsonl")
    parser.add_argument("--write", action="store_true")
    asked = parser.parse_args()
    notebook, rows = Notebook(asked.notebook), []
    for per_class in asked.per_class:
        found: dict[str, list[dict[str, Any]]] = {kind: [] for kind in KINDS}
        for seed, kind in itertools.product(range(asked.seeds), KINDS):
            cell: dict[str, Any] = {"kind": kind, "per_class": per_class, "epochs": asked.epochs, "seed": seed}
            compute = functools.partial(trained, asked.cifar10, **cell)
            found[kind].append(notebook.get(cell, compute))
        for kind, cells in found.items():
            shares = [100 * cell["correct"] / cell["count"] for cell in cells]
            spread = statistics.stdev(shares) if len(shares) > 1 else float("nan")
            losses = [cell["first"] for cell in cells if cell["first"] is not None]
            loss = f"{statistics.fmean(losses):.2f}" if losses else "–"
            rows.append((str(per_class), kind, f"{statistics.fmean(shares):.1f} ± {spread:.1f}", loss))
    heads = ("images of a class", "kind", "accuracy (%)", "loss of the first step")
    method = (
        f"Mean and standard deviation over {asked.seeds} seeds, which draw other images; {10 * TESTED} test images "
        f"each. EfficientNet-Lite0 at {SIDE}×{SIDE}, {asked.epochs} epochs, all else as in `striate train --transfer "
        "full`."
    )
    table = Figures(heads, tuple(rows), method)
    print(table.markdown())
    if asked.write:
        write_result("batch_statistics", "Batch norms in fine-tuning", {"CIFAR-10, few images": table})


if __name__ == "__main__":
    main()
