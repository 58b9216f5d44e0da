"""What every unit of a network looks for, over 10,000 images: how long it takes, and how much memory.

    python benchmarks/patches.py [--quick] [--runs FOLDER] [--write]

`tiny_vgg` is trained on `shapes`. Then of every layer (four convolutions and the dense layer of the classes) and every
channel the nine patches are found that excite it most among 10,000 fresh images, with the dead and the redundant
channels from the same pass, and beside each patch its deconvnet projection is computed: figure 2 of Zeiler and Fergus
2014, for the whole network. The images are drawn beforehand; their preparation (to floats, scaled) is timed with the
pass. The trained network is kept in the folder and found there again.

Memory is the most that the process has held resident, after a pass over the first quarter of the images and after
the whole: it should not grow. Target: two minutes for all of it.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import numpy as np
import torch
from torch import Tensor

from _measure import Figures, write_result
from _peak import peak_bytes
from _sides import REPOSITORY
from striate.classifier import Classifier, load_classifier
from striate.core.spec import RGB
from striate.data.preparation.arrays import prepare_many, scale
from striate.data.synthetic.shapes import ShapesOptions, make
from striate.explaining import TopPatches, layers, project_patches, top_patches

MOST_SECONDS = 120
RECIPE = {
    "batch_size": 16,
    "optimizer.lr": 0.001,
    "schedule.name": "constant",
    "augmentation.shift": 0,
    "augmentation.scale": 0,
    "augmentation.brightness": 0,
    "augmentation.contrast": 0,
    "stop.keep": "last",
}
"""What differs from the recipe `photos`: the images are drawn in all places, sizes and colours as it is. The network
is small for them: it needs many, and of 12,000 it learns by heart what it should have learnt in general."""

FRESH, BATCH = 1, 100  # the seed of the images looked at; how many come at once


def trained(runs: Path, *, quick: bool) -> Classifier:
    """The classifier of the run, which is made if it is not there."""
    name, count, epochs = ("quick-patches", 500, 1) if quick else ("patches", 100_000, 6)
    if not (runs / name / "classifier").is_dir():
        command = [
            sys.executable,
            "-m",
            "striate",
            "train",
            f"shapes:count={count}",
            "--recipe",
            "photos",
            "--model",
            "tiny_vgg",
        ]
        command += ["--epochs", str(epochs), "--seed", "0", "--name", name, "--runs", str(runs)]
        changes = [part for key, value in RECIPE.items() for part in ("--set", f"{key}={value}")]
        subprocess.run([*command, *changes], check=True)
    return load_classifier(runs / name / "classifier")


def stream(classifier: Classifier, pixels: np.ndarray) -> Iterator[tuple[range, Tensor]]:
    """The images as the network takes them, a batch at a time."""
    for start in range(0, len(pixels), BATCH):
        part = pixels[start : start + BATCH]
        prepared = prepare_many(part, RGB, part.shape[1:3], classifier.input)
        yield range(start, start + len(part)), scale(torch.from_numpy(prepared), classifier.input)


def look(classifier: Classifier, pixels: np.ndarray) -> tuple[tuple[TopPatches, ...], float, float]:
    """The top patches of all layers, and the seconds that they and their projections took."""
    begun = time.perf_counter()
    _, first = next(stream(classifier, pixels[:1]))
    tops = top_patches(classifier.model, stream(classifier, pixels), layers(classifier.model, first))
    found = time.perf_counter()
    for top in tops:
        project_patches(classifier.model, top)
    return tops, found - begun, time.perf_counter() - found


def share_right(classifier: Classifier, pixels: np.ndarray) -> float:
    """How many of the images the network takes for what they are."""
    right = 0
    with torch.no_grad():
        for index, images in stream(classifier, pixels):
            right += int(
                (classifier.model(images).argmax(1) == torch.tensor(index) // 5 % len(classifier.labels)).sum()
            )
    return right / len(pixels)


def measured(classifier: Classifier, count: int, rounds: int) -> tuple[dict[str, Figures], str]:
    """The tables, and a sentence about them."""
    made = make(np.arange(count), ShapesOptions(count=count, seed=FRESH))
    look(classifier, made.pixels[: count // 4])
    quarter = peak_bytes() / 1e6
    timed = [look(classifier, made.pixels)]
    whole = peak_bytes() / 1e6
    timed += [look(classifier, made.pixels) for _ in range(rounds - 1)]
    passes, projections = [one[1] for one in timed], [one[2] for one in timed]
    totals = [sum(one[1:]) for one in timed]
    rows = (
        _row(f"nine patches of every channel, {count:,} images", passes),
        _row("their projections", projections),
        _row("together", totals),
    )
    seconds = Figures(("work", "seconds", "lowest – highest"), rows, f"Medians of {rounds} rounds.")
    tops = timed[0][0]
    right = share_right(classifier, made.pixels)
    told = (
        f"The network is right on {right:.1%} of these images. Top-9 patches and projections of all "
        f"{sum(len(top.values) for top in tops)} channels over {count:,} images take {median(totals):.1f} s (target: "
        f"at most {MOST_SECONDS}). Most memory resident: {quarter:.0f} MB after {count // 4:,} images, "
        f"{whole:.0f} MB after {count:,}."
    )
    return {"`tiny_vgg`, trained on `shapes`": seconds, "The channels": channels(tops)}, told


def channels(tops: tuple[TopPatches, ...]) -> Figures:
    """Of each layer, how many channels it has, of what use they are, and what they see."""
    rows = tuple(
        (
            top.place,
            str(len(top.values)),
            str(len(top.units.dead())),
            str(len(top.units.redundant())),
            f"{top.size[0]}×{top.size[1]}",
        )
        for top in tops
    )
    return Figures(
        ("layer", "channels", "dead", "redundant pairs", "sees, pixels"),
        rows,
        "Dead: the same at every position of every image. Redundant: correlated by at least 0.95.",
    )


def _row(name: str, seconds: list[float]) -> tuple[str, str, str]:
    return name, f"{median(seconds):.1f}", f"{min(seconds):.1f} – {max(seconds):.1f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="little training, few images: to see that it works")
    parser.add_argument("--runs", type=Path, default=REPOSITORY / "runs" / "patches")
    parser.add_argument("--write", action="store_true", help="write results/patches.md and .json")
    arguments = parser.parse_args()
    count, rounds = (500, 1) if arguments.quick else (10_000, 5)
    tables, told = measured(trained(arguments.runs, quick=arguments.quick), count, rounds)
    print(*(table.markdown() for table in tables.values()), told, sep="\n\n")
    if arguments.write:
        write_result("patches", "What every channel of a network looks for", tables, [told])


if __name__ == "__main__":
    main()
