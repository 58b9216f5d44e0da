"""The binary layout of CIFAR-10 and CIFAR-100 (www.cs.toronto.edu/~kriz/cifar.html)."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from striate.core.errors import DataError
from striate.core.files import read_regular
from striate.core.names import canonical
from striate.data.dataset import Dataset, Split
from striate.data.sources.arrays import Part, from_parts
from striate.data.sources.registry import SOURCES, Source, listed

_SIDE = 32
_PIXELS = 3 * _SIDE * _SIDE


@dataclass(frozen=True)
class Layout:
    """One of the two data sets: its folder, its files, and the number of label bytes before each image.

    The last label byte is the class (CIFAR-100 has the superclass first).
    """

    folder: str
    train: tuple[str, ...]
    test: tuple[str, ...]
    names: str
    label_bytes: int

    @property
    def files(self) -> tuple[str, ...]:
        """All files of the data set."""
        return (*self.train, *self.test, self.names)

    def find(self, path: Path) -> Path | None:
        """Return the folder at or in `path` that holds this layout; None if there is none."""
        for folder in (path, path / self.folder):
            there = [os.path.isfile(folder / name) for name in (self.names, *self.train, *self.test)]
            if there[0] and any(there[1:]):
                return folder
        return None


CIFAR10 = Layout(
    folder="cifar-10-batches-bin",
    train=tuple(f"data_batch_{number}.bin" for number in range(1, 6)),
    test=("test_batch.bin",),
    names="batches.meta.txt",
    label_bytes=1,
)
CIFAR100 = Layout(
    folder="cifar-100-binary",
    train=("train.bin",),
    test=("test.bin",),
    names="fine_label_names.txt",
    label_bytes=2,
)


def recognises(path: Path) -> bool:
    return path.is_dir() and any(layout.find(path) for layout in (CIFAR10, CIFAR100))


def open_cifar(path: Path) -> Dataset:
    """Open a folder in the binary layout of CIFAR-10 or CIFAR-100, or the folder above it.

    Raises:
        DataError: a file is missing, is no whole number of records, or holds a label without a name.
    """
    layout = CIFAR10 if CIFAR10.find(path) else CIFAR100
    folder = layout.find(path) or path
    missing = [name for name in layout.files if not (folder / name).is_file()]
    if missing:
        raise DataError(f"{folder} lacks {listed(missing, 6)}. Unpack the whole archive there.")
    try:
        names = read_regular(folder / layout.names).decode().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{folder / layout.names} cannot be read: {error}. Unpack the archive again.") from error
    classes = [canonical(name.strip()) for name in names]
    parts = [
        _part("train", folder, layout.train, layout.label_bytes),
        _part("test", folder, layout.test, layout.label_bytes),
    ]
    return from_parts(path, parts, [name for name in classes if name])


def _part(split: Split, folder: Path, files: Sequence[str], label_bytes: int) -> Part:
    records = np.concatenate([_records(folder / name, label_bytes) for name in files])
    planes = records[:, label_bytes:].reshape(-1, 3, _SIDE, _SIDE)
    pixels = np.ascontiguousarray(planes.transpose(0, 2, 3, 1))
    return Part(split, pixels, records[:, label_bytes - 1].astype(np.int64))


def _records(path: Path, label_bytes: int) -> np.ndarray:
    """Read the records of one file, (n, label bytes + pixels): labels, then the red, green and blue planes by rows."""
    try:
        data = np.frombuffer(read_regular(path), np.uint8)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}.") from error
    length = label_bytes + _PIXELS
    if not len(data) or len(data) % length:
        raise DataError(
            f"{path} should hold records of {length:,} bytes; its {len(data):,} bytes are no whole number of them. "
            "Unpack it again."
        )
    return data.reshape(-1, length)


SOURCES.add("cifar", Source("a folder in the binary layout of CIFAR-10 or CIFAR-100", recognises, open_cifar))
