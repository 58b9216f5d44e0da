"""A folder of JPEG photos to prepared batches, beside `DataLoader` with Pillow and two workers.

    python benchmarks/photos.py [FOLDER] [--rounds 7] [--write]

Both read, decode, shrink (antialiased, bilinear), cut out the centre and scale every photo, into float32 batches of 64,
on all cores; nothing is held in memory between epochs. Plain loops on one thread that decode, prepare (shrink and cut),
and scale to float32 show how much of the cores the loader turns into images; a process per core that decodes and
prepares its share of the photos and makes no batches of them shows how much there is to be had. The allocator is set as
`striate train` sets it, for all of them.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
from collections.abc import Callable
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from _measure import Table, interleave, write_result
from _sides import real_data
from striate.core.allocator import tune_process
from striate.core.spec import RGB, InputSpec
from striate.data.dataset import Dataset, FileStore
from striate.data.images.decoded import DecodedImage
from striate.data.loading.loader import Loader, Randomization
from striate.data.preparation.arrays import prepare, scale
from striate.data.sources.opening import open_data

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
BATCH, WORKERS = 64, 2
SIDES = (64, 224)
ALL_CORES = "a process per core, decode and prepare"


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
    loader = Loader(
        dataset, np.arange(len(dataset)), spec, batch_size=BATCH, randomization=Randomization(), threads=threads
    )
    return lambda: float(sum(len(batch) for batch in loader.epoch(0)))


def _one_thread(dataset: Dataset, spec: InputSpec, then: Callable[..., object] | None) -> Callable[[], float]:
    def work() -> float:
        for index in range(len(dataset)):
            image = dataset.store.read(index, spec)
            if then is not None:
                then(image, spec)
        return float(len(dataset))

    return work


def _scaled(image: DecodedImage, spec: InputSpec) -> torch.Tensor:
    return scale(torch.from_numpy(prepare(image, spec))[None], spec)


def _processes(dataset: Dataset, spec: InputSpec, cores: int) -> Callable[[], float]:
    # Each is started with its photos once and then told to go through them: no image and no index is sent.
    context, shares = multiprocessing.get_context("fork"), np.array_split(np.arange(len(dataset)), cores)
    workers = []
    for share in shares:
        here, there = context.Pipe()
        context.Process(target=_serve, args=(there, dataset, spec, share), daemon=True).start()
        workers.append(here)

    def work() -> float:
        for worker in workers:
            worker.send(True)
        for worker in workers:
            worker.recv()
        return float(len(dataset))

    return work


def _serve(orders: Connection, dataset: Dataset, spec: InputSpec, share: np.ndarray) -> None:
    torch.set_num_threads(1)
    while orders.recv():
        for index in share:
            prepare(dataset.store.read(int(index), spec), spec)
        orders.send(True)


def compare(dataset: Dataset, side: int, rounds: int, cores: int) -> Table:
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
            ALL_CORES: _processes(dataset, spec, cores),
            "one thread, decode, prepare and scale": _one_thread(dataset, spec, _scaled),
            "one thread, decode and prepare": _one_thread(dataset, spec, prepare),
            "one thread, decode": _one_thread(dataset, spec, None),
            "one thread, decode whole": _one_thread(dataset, whole, None),
        },
        rounds,
    )


def _share(table: Table, other: str, times: int = 1) -> float:
    """The median over rounds of loader / (`times` what the other does)."""
    pairs = zip(table["striate"].rates, table[other].rates, strict=True)
    return float(np.median([loader / (times * rate) for loader, rate in pairs]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, help="by default photos-dog-cat of the real data")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--write", action="store_true", help="write results/photos.md and .json")
    arguments = parser.parse_args()
    tune_process()
    folder = arguments.folder or real_data("photos-dog-cat")
    dataset = open_data(folder)
    cores = len(os.sched_getaffinity(0))
    tables, notes = {}, [f"{len(dataset)} JPEG photos of {folder.name} to float32 batches of {BATCH}."]
    for side in SIDES:
        table = compare(dataset, side, arguments.rounds, cores)
        tables[f"{side} × {side}"] = table
        shares = {
            alone: _share(table, alone, times=cores)
            for alone in (row.name for row in table.rows if row.name.startswith("one thread"))
        }
        told = "; ".join(f"{share:.0%} of cores × “{alone}”" for alone, share in shares.items())
        notes.append(
            f"{side} × {side}: {table['striate'].ratio:.2f} times the DataLoader; {told}; "
            f"{_share(table, ALL_CORES):.0%} of “{ALL_CORES}”."
        )
        print(f"\n{side} × {side}\n{table.markdown()}\n{notes[-1]}")
    if arguments.write:
        write_result("photos", "From JPEG photos to prepared batches", tables, notes)


if __name__ == "__main__":
    main()
