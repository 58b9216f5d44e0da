"""What decoding JPEGs at a fraction of their size changes in the pixels that a network sees.

    python benchmarks/decode_scale.py [FOLDER] [--classifier RUN] [--write]

Every photo is prepared twice: decoded whole, and decoded at 1/2, 1/4 or 1/8, as far as the `decode_scale` of its
`InputSpec` allows. The differences are in levels of 0 to 255, over all values of the photos that were decoded smaller.
For a measure of what they mean: the same for a bicubic filter in place of the bilinear one, both decoded whole.
With a classifier of such photos, its answers to both are compared too.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from _measure import Figures, write_result
from _sides import real_data
from striate.classifier import Classifier, load_classifier
from striate.core.spec import RGB, InputSpec
from striate.data.dataset import Dataset
from striate.data.preparation.arrays import prepare, scale
from striate.data.sources.opening import open_data

SIDES = (32, 64, 128)
DECODE_SCALES = (1.0, 1.5, 2.0, 3.0)
COLUMNS = ("", "decoded smaller", "mean difference", "99th percentile", "largest", "photos' largest mean")


def _prepared(dataset: Dataset, index: int, spec: InputSpec) -> tuple[np.ndarray, bool]:
    """The photo as the network would see it, and whether it was decoded at a fraction of its size."""
    image = dataset.store.read(index, spec)
    return prepare(image, spec).astype(np.int16), image.pixels.shape[:2] != image.original


def compare(dataset: Dataset, base: InputSpec, changed: InputSpec, *, smaller_only: bool) -> tuple[str, ...]:
    """The cells of a row: how far `changed` is from `base`, and for how many photos it decodes at a fraction."""
    histogram, means = np.zeros(256, np.int64), []
    smaller = 0
    for index in range(len(dataset)):
        other, fraction = _prepared(dataset, index, changed)
        smaller += fraction
        if fraction or not smaller_only:
            difference = np.abs(other - _prepared(dataset, index, base)[0])
            histogram += np.bincount(difference.ravel(), minlength=256)
            means.append(difference.mean())
    share = f"{smaller / len(dataset):.0%}"
    if not means:
        return share, "–", "–", "–", "–"
    below = np.cumsum(histogram) / histogram.sum()
    mean = (histogram * np.arange(256)).sum() / histogram.sum()
    percentile, largest = np.searchsorted(below, 0.99), np.flatnonzero(histogram).max()
    return share, f"{mean:.2f}", str(percentile), str(largest), f"{max(means):.2f}"


def study(dataset: Dataset, side: int) -> Figures:
    """All decode scales at one size of input."""
    spec = InputSpec(channels=RGB, height=side, width=side, mean=(0.5,) * 3, std=(0.5,) * 3)
    whole = replace(spec, decode_scale=0.0)
    rows = [
        (f"decode_scale {scale:g}", *compare(dataset, whole, replace(spec, decode_scale=scale), smaller_only=True))
        for scale in DECODE_SCALES
    ]
    rows.append(("bicubic, whole", *compare(dataset, whole, replace(whole, filter="bicubic"), smaller_only=False)))
    return Figures(COLUMNS, tuple(rows), f"{len(dataset)} photos; levels of 0 to 255; nothing here is drawn or timed.")


def _probabilities(dataset: Dataset, classifier: Classifier, spec: InputSpec) -> np.ndarray:
    """What the classifier answers to every photo prepared by `spec`: (photos, classes)."""
    rows = []
    for index in range(len(dataset)):
        prepared = torch.from_numpy(prepare(dataset.store.read(index, spec), spec)[None])
        rows.append(classifier.probabilities(scale(prepared, spec))[0].numpy())
    return np.stack(rows)


def answers(dataset: Dataset, classifier: Classifier) -> Figures:
    """How far the answers of `classifier` move when photos are decoded at a fraction, as its `InputSpec` allows."""
    whole = _probabilities(dataset, classifier, replace(classifier.input, decode_scale=0.0))
    rows = []
    for decode_scale in DECODE_SCALES:
        smaller = _probabilities(dataset, classifier, replace(classifier.input, decode_scale=decode_scale))
        changed = int((smaller.argmax(axis=1) != whole.argmax(axis=1)).sum())
        moved = np.abs(smaller - whole).max(axis=1)
        cells = (f"{changed} of {len(dataset)}", f"{moved.mean():.4f}", f"{moved.max():.3f}")
        rows.append((f"decode_scale {decode_scale:g}", *cells))
    columns = ("", "other first class", "mean change of probability", "largest")
    height, width = classifier.input.size
    return Figures(columns, tuple(rows), f"{classifier.model_name} at {height} × {width}, beside decoding whole.")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, help="by default photos-dog-cat of the real data")
    parser.add_argument("--classifier", type=Path, help="a run, or a classifier's folder")
    parser.add_argument("--write", action="store_true", help="write results/decode_scale.md and .json")
    arguments = parser.parse_args()
    dataset = open_data(arguments.folder or real_data("photos-dog-cat"))
    tables = {f"{side} × {side}": study(dataset, side) for side in SIDES}
    if arguments.classifier:
        tables["Answers"] = answers(dataset, load_classifier(arguments.classifier))
    for heading, table in tables.items():
        print(f"\n{heading}\n{table.markdown()}")
    if arguments.write:
        title = "Decoding JPEGs at a fraction of their size: what it changes"
        note = "The default of `decode_scale` is 2: both sides stay at least twice as long as the resize makes them."
        write_result("decode_scale", title, tables, [note])


if __name__ == "__main__":
    main()
