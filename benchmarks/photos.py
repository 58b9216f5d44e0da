"""A folder of JPEG photos to prepared batches, beside `DataLoader` with Pillow and two workers.

    python benchmarks/photos.py [FOLDER] [--rounds 7] [--write]

Both read, decode, shrink (antialiased, bilinear), cut out the centre and scale every photo, into float32 batches of 64,
on all cores; nothing is held in memory between epochs. Decoding alone, and decoding and preparing in one plain loop on
one thread, show how much of the cores the loader turns into pictures.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from _measure import Table, interleave, write_result
from striate.core.spec import RGB, InputSpec
from striate.data.dataset import Dataset, FileStore
from striate.data.loader import Loader
from striate.data.opening import open_data
from striate.data.transforms import prepare

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
BATCH, WORKERS = 64, 2
SIDES = (64, 224)


class PillowPhotos(TorchDataset):
    """The usual way: one photo at a time, decoded, resized and cropped by Pillow, scaled by torch."""

    def __init__(self, paths: list[Path], side: int) -> None:
        self.paths, self.side = paths, side
        self.mean, self.std = torch.tensor(MEAN).view(3, 1, 1), torch.tensor(STD).view(3, 1, 1)

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        with Image.open(self.paths[index]) as file:
            image = file.convert("RGB")
        shorter = min(image.size)
        width, height = (round(side * self.side / shorter) for side in image.size)
        image = image.resize((width, height), Image.Resampling.BILINEAR)
        left, top = (width - self.side) // 2, (height - self.side) // 2
        image = image.crop((left, top, left + self.side, top + self.side))
        pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous()
        return (pixels.float().div_(255) - self.mean) / self.std, index


def _pillow(paths: list[Path], side: int) -> Callable[[], float]:
    # Workers are kept from epoch to epoch, so that their start is not held against them.
    batches = DataLoader(
        PillowPhotos(paths, side), BATCH, shuffle=True, num_workers=WORKERS, persistent_workers=True, drop_last=False
    )
    return lambda: float(sum(len(images) for images, _ in batches))


def _striate(dataset: Dataset, spec: InputSpec, threads: int | None) -> Callable[[], float]:
    loader = Loader(dataset, np.arange(len(dataset)), spec, batch_size=BATCH, memory="never", threads=threads)
    return lambda: float(sum(len(batch) for batch in loader.epoch(0)))


def _one_thread(dataset: Dataset, spec: InputSpec, then: Callable[..., object] | None) -> Callable[[], float]:
    def work() -> float:
        for index in range(len(dataset)):
            picture = dataset.store.read(index, spec)
            if then is not None:
                then(picture, spec)
        return float(len(dataset))

    return work


def compare(dataset: Dataset, side: int, rounds: int) -> Table:
    """All contestants at one size of input."""
    assert isinstance(dataset.store, FileStore)
    paths = [dataset.store.path(index) for index in range(len(dataset))]
    spec = InputSpec(channels=RGB, height=side, width=side, mean=MEAN, std=STD)
    whole = replace(spec, decode_scale=0.0)
    return interleave(
        {
            f"DataLoader, Pillow, {WORKERS} workers": _pillow(paths, side),
            "striate": _striate(dataset, spec, None),
            "striate, decoding whole": _striate(dataset, whole, None),
            "one thread, decode and prepare": _one_thread(dataset, spec, prepare),
            "one thread, decode": _one_thread(dataset, spec, None),
            "one thread, decode whole": _one_thread(dataset, whole, None),
        },
        rounds,
    )


def _share(table: Table, alone: str, cores: int) -> float:
    """The median over rounds of loader / (cores × what one thread does alone)."""
    pairs = zip(table["striate"].rates, table[alone].rates, strict=True)
    return float(np.median([loader / (cores * single) for loader, single in pairs]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = Path(os.environ.get("STRIATE_DATA", "../shared/data")) / "photos-dog-cat"
    parser.add_argument("folder", nargs="?", type=Path, default=default)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--write", action="store_true", help="write results/photos.md and .json")
    arguments = parser.parse_args()
    dataset = open_data(arguments.folder)
    cores = len(os.sched_getaffinity(0))
    tables, notes = {}, [f"{len(dataset)} JPEG photos of {arguments.folder.name} to float32 batches of {BATCH}."]
    for side in SIDES:
        table = compare(dataset, side, arguments.rounds)
        tables[f"{side} × {side}"] = table
        shares = {
            alone: _share(table, alone, cores)
            for alone in ("one thread, decode and prepare", "one thread, decode", "one thread, decode whole")
        }
        told = "; ".join(f"{share:.0%} of cores × “{alone}”" for alone, share in shares.items())
        notes.append(f"{side} × {side}: {table['striate'].ratio:.2f} times the DataLoader; {told}.")
        print(f"\n{side} × {side}\n{table.markdown()}\n{notes[-1]}")
    if arguments.write:
        write_result("photos", "From JPEG photos to prepared batches", tables, notes)


if __name__ == "__main__":
    main()
