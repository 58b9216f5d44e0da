"""Augmented batches against torchvision's transforms on Pillow images: images per second on one core.

    python benchmarks/augmentation.py [--rounds N] [--quick] [--write]

RandAugment and a random resized crop, each with its defaults, on images of 32, 64 and 224 pixels. Both sides begin with
8-bit images in memory and end with a normalised float batch; both run on one thread.
Target: three times as fast. It takes about a minute.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from PIL import Image

import striate
from _measure import Table, interleave, write_result
from _torchvision import torchvision
from striate.core.spec import RGB, InputSpec
from striate.data.augmentation.augment import augment
from striate.data.augmentation.augmentations import Augmentation
from striate.data.augmentation.geometric import RandomResizedCrop
from striate.data.augmentation.policies import RandAugment
from striate.data.preparation.arrays import normalise, to_shares

TARGET = 3.0
OURS, THEIRS = "Striate", "torchvision on Pillow images"
SIZES = {32: 256, 64: 256, 224: 64}  # pixels, and images of a batch


def make_images(size: int, count: int) -> np.ndarray:
    """Make images with gradients and edges: (count, 3, size, size), 8 bits."""
    draw, (y, x) = np.random.default_rng(0), np.mgrid[:size, :size]
    waves = draw.uniform(2, 30, (count, 3, 2, 1, 1)) * size / 224 + 1
    values = 128 + 100 * np.sin(x / waves[:, :, 0] + y / waves[:, :, 1])
    values[:, :, (x - size / 2) ** 2 + (y - size / 3) ** 2 < size**2 / 20] = 220
    return np.clip(values + draw.normal(0, 5, values.shape), 0, 255).astype(np.uint8)


def ours(pixels: np.ndarray, used: Augmentation) -> Callable[[], float]:
    """Return the work of Striate on a batch, in another epoch each time."""
    size = pixels.shape[2]
    spec = InputSpec(channels=RGB, height=size, width=size, mean=(0.5,) * 3, std=(0.25,) * 3)
    raw, index, epochs = torch.from_numpy(pixels), np.arange(len(pixels)), itertools.count()

    def work() -> float:
        shares = to_shares(raw, spec)
        changed = augment(
            shares, index, epoch=next(epochs), seed=0, augmentations=(used,), blank=spec.mean, channels=spec.channels
        )
        normalise(changed, spec)
        return len(pixels)

    return work


def theirs(pixels: np.ndarray, used: torch.nn.Module) -> Callable[[], float]:
    """Return the work of torchvision on the same images, one by one, stacked to a batch."""
    images = [Image.fromarray(image) for image in pixels.transpose(0, 2, 3, 1)]
    change: Any = torchvision.transforms.Compose(
        [used, torchvision.transforms.ToTensor(), torchvision.transforms.Normalize((0.5,) * 3, (0.25,) * 3)]
    )

    def work() -> float:
        torch.stack([change(image) for image in images])
        return len(images)

    return work


def measure(rounds: int, sizes: dict[int, int]) -> dict[str, Table]:
    """Return a table for each augmentation and size."""
    tables = {}
    for size, count in sizes.items():
        pixels = make_images(size, count)
        kinds = {
            "RandAugment": (RandAugment(), torchvision.transforms.RandAugment()),
            "Random resized crop": (RandomResizedCrop(), torchvision.transforms.RandomResizedCrop(size)),
        }
        for name, (own, other) in kinds.items():
            sides = {THEIRS: theirs(pixels, other), OURS: ours(pixels, own)}
            tables[f"{name}, {size}×{size}"] = interleave(sides, rounds, unit="images/s")
    return tables


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--quick", action="store_true", help="two rounds of small batches: to see that it works")
    parser.add_argument("--write", action="store_true", help="write results/augmentation.md and .json")
    arguments = parser.parse_args()
    striate.tune_process()  # as `striate train` does
    torch.set_num_threads(1)
    torch.manual_seed(0)
    if arguments.quick:
        tables = measure(2, {size: count // 8 for size, count in SIZES.items()})
    else:
        tables = measure(arguments.rounds, SIZES)
    notes = [
        f"{name}: {table[OURS].ratio:.1f} times as fast as torchvision {torchvision.__version__}"
        f"{'' if table[OURS].ratio >= TARGET else f', less than the target of {TARGET:g}'}."
        for name, table in tables.items()
    ]
    print("\n\n".join(f"{heading}\n{table.markdown()}" for heading, table in tables.items()), *notes, sep="\n")
    if arguments.write:
        write_result("augmentation", "Augmented batches against torchvision on Pillow images", tables, notes)


if __name__ == "__main__":
    main()
