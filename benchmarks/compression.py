"""Deep Compression: LeNet-5 on MNIST beside the paper, and SqueezeNet 1.1 with its ImageNet weights.

    python benchmarks/compression.py [--quick] [--write] [--runs FOLDER]

LeNet-5 is the Caffe network of the paper, with the paper's fraction of weights in each layer, fine-tuned after both
lossy steps, for fewer epochs than it needs. SqueezeNet is pruned and shared without fine-tuning: its training images
are not at hand. A file that does not load to the bit, or a LeNet-5 less than 30 times smaller, ends the program with an
error.
"""

from __future__ import annotations

import argparse
import copy
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

import striate
from _measure import Figures, write_result
from _sides import real_data
from striate.classifier import Classifier, load_classifier, save_classifier, standing
from striate.core.proportion import Proportion
from striate.data.images.decode import decode
from striate.data.preparation.arrays import prepare, scale
from striate.models.compression import compressible, prune, share
from striate.runs.compress import Compression
from striate.runs.folder import Run
from striate.verbs._trained import classifier_of

NETWORK = "conv5-20,valid pool2 conv5-50,valid pool2 fc500 relu"
KEPT = {"conv1_1": 0.66, "conv2_1": 0.12, "fc3": 0.08, "fc4": 0.19}  # table 3 of the paper
PAPER = {"float32": ("1×", "99.20 %"), "shared": ("33×", ""), "Huffman-coded": ("39×", "99.26 %")}  # tables 1 and 3
EPOCHS, TUNED = "5", "2"
FRACTIONS = (1.0, 0.9, 0.7, 0.5, 0.33)
BITS = 8


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one epoch each, few images, and no bars")
    parser.add_argument("--write", action="store_true", help="write results/compression.md and .json")
    parser.add_argument("--runs", type=Path, help="a folder that keeps the runs; those in it are continued")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = lenet(arguments.runs or Path(folder), quick=arguments.quick)
        rows, exact = squeezenet(Path(folder), 10 if arguments.quick else None)
    stages = (
        "stage",
        "bytes",
        "smaller",
        "weights kept",
        "accuracy",
        "95 % interval",
        "smaller, paper",
        "accuracy, paper",
    )
    fractions = ("weights kept", "bytes", "smaller", "top-1", "95 % interval", "same first class")
    shares = ", ".join(f"{share:.0%}" for share in KEPT.values())
    tables = {
        "LeNet-5 on MNIST": Figures(
            stages,
            tuple(stage_rows(found)),
            f"{NETWORK}, recipe mnist at a learning rate of 0.02, {EPOCHS} epochs, then {TUNED} after each lossy "
            "step at a tenth of it; "
            f"kept in each layer {shares}; 8 bits in convolutions, 5 in linear layers. Accuracy on {found.images:,} "
            "test images. Bytes are those of the whole file, biases in float32 and its header included. The paper "
            "(arXiv:1510.00149) trains and prunes in Caffe, and tunes values by the sum of the gradients of a cluster, "
            "where this is by their mean.",
        ),
        "SqueezeNet 1.1, ImageNet weights": Figures(
            fractions,
            tuple(rows),
            f"Pruned by magnitude and shared in 2^{BITS} values, not fine-tuned, so accuracy falls sooner. "
            "Accuracy on 100 sample images of ImageNet, and how many have the first class that they have in float32.",
        ),
    }
    for heading, table in tables.items():
        print(f"{heading}\n{table.markdown()}\n{table.method}\n")
    if arguments.write:
        write_result("compression", "Deep Compression", tables, ["Sizes and accuracy after each step."])
    if not exact or (found.ratio < 30 and not arguments.quick):
        sys.exit("A bar was missed: 30 times smaller, and equal to the bit.")


def lenet(runs: Path, *, quick: bool) -> Compression:
    run = Run(runs / "lenet")
    if not run.recipe_file.exists():
        striate.train(
            str(real_data("mnist")), model=NETWORK, recipe="mnist", epochs="1" if quick else EPOCHS, lr=0.02,
            name="lenet", runs=runs,
        )  # fmt: skip
    elif standing(run.path):
        striate.resume(run.path)
    return striate.compress(run.path, keep=KEPT, epochs="100st" if quick else TUNED, rate=0.1)


def stage_rows(found: Compression) -> list[tuple[str, ...]]:
    rows = []
    for stage in found.stages:
        smaller, accuracy = PAPER.get(stage.name, ("", ""))
        low, high = stage.interval or (0.0, 0.0)
        rows.append((
            stage.name, f"{stage.bytes:,}", f"{found.stages[0].bytes / stage.bytes:.1f}×", f"{stage.kept:.1%}",
            f"{stage.accuracy:.2%}", f"{low:.2%} – {high:.2%}", smaller, accuracy,
        ))  # fmt: skip
    return rows


def squeezenet(folder: Path, most: int | None) -> tuple[list[tuple[str, ...]], bool]:
    (weights,) = (real_data("weights") / "squeezenet1_1").glob("*.h5")
    dense = classifier_of("squeezenet1_1", "cpu", weights=str(weights))
    files = sorted(real_data("imagenet-samples").glob("*.[jJ][pP]*"))[:most]
    targets = np.array([int(file.name.split("_")[0]) for file in files])
    images = np.stack([prepare(decode(file), dense.input) for file in files])
    size = sum(4 * each.numel() for each in dense.model.state_dict().values())
    expected = first_classes(dense, images)
    rows = [row("100.0 %, float32", size, size, expected, expected, targets)]
    exact = True
    for fraction in FRACTIONS:
        model = copy.deepcopy(dense.model)
        prune(model, fraction)
        share(model, BITS, BITS)
        changed = replace(dense, model=model)
        place = folder / f"squeezenet-{fraction}"
        save_classifier(changed, place, packed=True)
        read = load_classifier(place)
        pairs = zip(model.state_dict().values(), read.model.state_dict().values(), strict=True)
        exact &= all(torch.equal(written, found) for written, found in pairs)
        layers = [layer.weight for layer in compressible(model).values()]
        kept = sum(int(each.count_nonzero()) for each in layers) / sum(each.numel() for each in layers)
        bytes_ = (place / "model.safetensors").stat().st_size
        rows.append(row(f"{kept:.1%}", size, bytes_, first_classes(read, images), expected, targets))
    return rows, exact


def row(
    name: str, size: int, stored: int, found: np.ndarray, expected: np.ndarray, targets: np.ndarray
) -> tuple[str, ...]:
    right = Proportion(int((found == targets).sum()), len(targets))
    low, high = right.interval or (0.0, 0.0)
    same = int((found == expected).sum())
    cells = f"{right.correct} of {right.count}", f"{low:.0%} – {high:.0%}", f"{same} of {len(targets)}"
    return name, f"{stored:,}", f"{size / stored:.1f}×", *cells


def first_classes(classifier: Classifier, images: np.ndarray) -> np.ndarray:
    parts = np.array_split(images, max(1, len(images) // 10))
    logits = [classifier.logits(scale(torch.from_numpy(part), classifier.input)).numpy() for part in parts]
    return np.concatenate(logits).argmax(axis=1)


if __name__ == "__main__":
    main()
