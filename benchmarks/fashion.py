"""Fashion-MNIST with at most a million parameters: the recipe `fashion`, five seeds.

    python benchmarks/fashion.py [--seeds 5] [--quick] [--write]

Each seed is one `striate train fashion-mnist --recipe fashion`, kept under `runs/fashion` and continued where it was
stopped. The accuracy is that on the 10,000 test images, of the last weights, in one view; a second column has the mean
of an image and its mirrored one. The minutes are those of the training with its evaluations; the machine should have
nothing else to do.

Targets: a mean of 93.5 %, at most 1,000,000 parameters, at most 15 minutes on two cores.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path
from statistics import mean

import striate
from _measure import Figures, peak, write_result
from _runs import trained, training_seconds
from _sides import REPOSITORY, real_data
from striate.models import meta_model
from striate.runs.recipes import RECIPES
from striate.tracing import describe

RECIPE, DATA, SIDE, TRAINED_ON = "fashion", "fashion-mnist", 28, 55_000
ACCURACY, PARAMETERS, MINUTES = 0.935, 1_000_000, 15


def accuracy(run: striate.Run, views: str) -> float:
    return striate.evaluate(run, views=views).scores.top1.value or 0.0


def row(folder: Path, seed: int, quick: bool) -> tuple[float, float, float]:
    """The accuracy in one view and in two, and the minutes of one training."""
    short = {"epochs": "20st"} if quick else {}
    run = trained(folder, f"seed-{seed}", DATA, recipe=RECIPE, seed=seed, **short)
    return accuracy(run, ""), accuracy(run, "flip"), training_seconds(run) / 60


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="20 steps of one seed: to see that it works")
    parser.add_argument("--write", action="store_true", help="write results/fashion.md and .json")
    arguments = parser.parse_args()
    os.environ.setdefault("STRIATE_DATA", str(real_data(DATA).parent))
    recipe = RECIPES[RECIPE]()
    totals = describe(meta_model(recipe.model, classes=10, channels=1, size=(SIDE, SIDE)), (1, SIDE, SIDE)).totals
    work = 6.0 * totals.macs * TRAINED_ON * recipe.epochs.amount
    with tempfile.TemporaryDirectory() as short:
        folder = Path(short) if arguments.quick else REPOSITORY / "runs" / "fashion"
        found = [row(folder, seed, arguments.quick) for seed in range(1 if arguments.quick else arguments.seeds)]
    rows = [(f"seed {seed}", f"{one:.2%}", f"{two:.2%}", f"{took:.1f}") for seed, (one, two, took) in enumerate(found)]
    table = Figures(
        ("", "test accuracy", "with the mirrored image", "minutes of training"),
        tuple(rows),
        "Of the last weights, on 10,000 test images. Nothing was repeated or left out.",
    )
    took = mean(minutes for _, _, minutes in found)
    note = (
        f"{mean(one for one, _, _ in found):.2%} in the mean of {len(found)} seeds (target: {ACCURACY:.1%}), "
        f"{totals.parameters:,} parameters (at most {PARAMETERS:,}), {took:.1f} minutes (at most {MINUTES}): "
        f"{work / 1e12:.0f} TFLOP at {work / took / 60e9:.0f} GFLOP/s, where a matrix product has {peak() / 1e9:.0f}."
    )
    print(f"{table.markdown()}\n{note}")
    if arguments.write:
        write_result("fashion", "Fashion-MNIST with at most a million parameters", {"Recipe fashion": table}, [note])


if __name__ == "__main__":
    main()
