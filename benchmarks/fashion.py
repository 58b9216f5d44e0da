"""Fashion-MNIST with at most a million parameters: the recipe `fashion`, five seeds.

    python benchmarks/fashion.py [--hour] [--seeds 5] [--quick] [--write]

Each seed is one `striate train fashion-mnist --recipe fashion`, kept under `runs/fashion` and continued where it was
stopped. The accuracy is that on the 10,000 test images, of the last weights, in one view; a second column has the mean
of an image and its mirrored one. The minutes are those of the training with its evaluations; the machine should have
nothing else to do.

Targets: a mean of 93.5 %, at most 1,000,000 parameters, at most 15 minutes on two cores.

With `--hour`: one training, of at most an hour, of the network of `cifar_fast` instead (`results/fashion_hour.md`).
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
HOUR_EPOCHS = 16
HOUR = {  # smaller images for six epochs, larger batches and a rectangle erased from every other image
    "optimizer.momentum": 0.7,
    "optimizer.rest_lr": 1e-2,
    "resizing": "listed",
    "resizing.pixels": (24,),
    "resizing.until": (0.375,),
    "augmentation": "flip,shift,erasing",
    "augmentation.shift.fraction": 2 / SIDE,
    "augmentation.erasing.most": 0.25,
}


def accuracy(run: striate.Run, views: str) -> float:
    return striate.evaluate(run, views=views).scores.top1.value or 0.0


def row(folder: Path, seed: int, quick: bool) -> tuple[float, float, float]:
    """The accuracy in one view and in two, and the minutes of one training."""
    short = {"epochs": "20st"} if quick else {}
    run = trained(folder, f"seed-{seed}", DATA, recipe=RECIPE, seed=seed, **short)
    return accuracy(run, ""), accuracy(run, "flip"), training_seconds(run) / 60


def hour(folder: Path, quick: bool) -> tuple[Figures, str]:
    """Train the one network of an hour; return its figures and a sentence."""
    epochs = "20st" if quick else f"{HOUR_EPOCHS}ep"
    options = {"model": RECIPES["cifar_fast"]().model, "epochs": epochs, "batch_size": 500, "seed": 0, "set": HOUR}
    run = trained(folder, "hour", DATA, recipe=RECIPE, **options)
    took = training_seconds(run) / 60
    views = {"one view": "", "the mirrored image as well": "flip", "six views: mirrored, shifted by 1": "shift=1,flip"}
    table = Figures(
        ("", "test accuracy"),
        tuple((name, f"{accuracy(run, text):.2%}") for name, text in views.items()),
        "Of the last weights of one training, on 10,000 test images. Nothing was repeated or left out.",
    )
    parameters = sum(parameter.numel() for parameter in striate.load(run).model.parameters())
    return table, f"{took:.0f} minutes of training (at most 60), {parameters:,} parameters, {epochs}."


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hour", action="store_true", help="train the one network of an hour instead")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="20 steps of one seed: to see that it works")
    parser.add_argument("--write", action="store_true", help="write results/fashion.md (fashion_hour.md) and .json")
    arguments = parser.parse_args()
    os.environ.setdefault("STRIATE_DATA", str(real_data(DATA).parent))
    if arguments.hour:
        with tempfile.TemporaryDirectory() as short:
            table, note = hour(Path(short) if arguments.quick else REPOSITORY / "runs" / "fashion", arguments.quick)
        print(f"{table.markdown()}\n{note}")
        if arguments.write:
            title = "Fashion-MNIST: one network of at most an hour"
            write_result("fashion_hour", title, {"The network of cifar_fast": table}, [note])
        return
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
