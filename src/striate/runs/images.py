"""The images that a run was started with, by name and by content: `images.csv` in its folder.

Images that are files may be deleted, replaced or added while a run is stopped. This record identifies them, and keeps
the others in their splits.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from striate.core.comma_separated import csv_row
from striate.core.errors import RunError
from striate.core.files import open_regular, write_atomically
from striate.data.audit.index import ImageIndex
from striate.data.dataset import SPLITS, Dataset, EncodedStore, Splits
from striate.data.split import split
from striate.runs.folder import Run

_COLUMNS = ("image", "class", "split", "sha256")
_DIGITS = 32  # of each SHA-256, in hexadecimal: 128 bits
_NAMED = 5


@dataclass(frozen=True)
class Entry:
    """One image: its class, its split, and the digest of its pixels."""

    label: str
    split: str
    digest: str


@dataclass(frozen=True)
class Changes:
    """The differences from the record.

    `missing`: names that cannot be read any more. `changed`: those with other pixels. `relabelled`: those of another
    class, with both, and `moved`: those whose pixels have another name now, with both. `added`: those that were not
    there.
    """

    missing: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    relabelled: tuple[str, ...] = ()
    moved: tuple[str, ...] = ()
    added: tuple[str, ...] = ()

    def __str__(self) -> str:
        kinds = (
            (self.missing, "cannot be read any more"),
            (self.changed, "changed"),
            (self.relabelled, "relabelled"),
            (self.moved, "moved"),
            (self.added, "added"),
        )
        said = [f"{_count(names)} {what} ({named(names)})" for names, what in kinds if names]
        return "; ".join(said) or "its classes or splits changed"


def named(names: tuple[str, ...]) -> str:
    """List the first few names: `a.jpg, b.jpg and 7 more`."""
    more = f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def _count(names: tuple[str, ...]) -> str:
    return "1 image" if len(names) == 1 else f"{len(names):,} images"


def write_images(path: Path, dataset: Dataset, index: ImageIndex, splits: Splits) -> None:
    """Record the images of `dataset` that are in `splits`. Data without a file per image are not recorded.

    Raises:
        RunError: the file cannot be written, or the disk is full.
    """
    if not isinstance(dataset.store, EncodedStore):
        return
    rows: list[tuple[str, ...]] = [_COLUMNS]
    for name in SPLITS:
        for number in splits[name].tolist():
            label, digest = _content(dataset, index, number)
            rows.append((dataset.store.name(number), label, name, digest))
    write_atomically(path, "".join(map(csv_row, rows)).encode(errors="surrogateescape"))


def read_images(path: Path) -> dict[str, Entry] | None:
    """Read what `write_images` wrote; None where it wrote nothing.

    Raises:
        RunError: the file is damaged.
    """
    try:
        with open_regular(path) as file:
            rows = csv.reader(io.StringIO(file.read().decode(errors="surrogateescape"), newline=""))
            if tuple(next(rows, ())) != _COLUMNS:
                raise ValueError("its first line is not its heading")
            return {name: Entry(label, split, digest) for name, label, split, digest in rows}
    except FileNotFoundError:
        return None
    except (OSError, ValueError, csv.Error) as error:
        raise RunError(f"{path} is damaged ({error}). Restore it from a copy.") from error


def compare(then: Mapping[str, Entry], dataset: Dataset, index: ImageIndex) -> tuple[Changes, Splits]:
    """Compare the images of `dataset` with those of the record.

    Returns what changed, and the splits of the record with the images that are as they were.
    """
    names = dataset.store.names
    now = {names[number]: number for number in np.flatnonzero(index.readable).tolist()}
    contents = {name: _content(dataset, index, number) for name, number in now.items()}
    new = {contents[name][1]: name for name in now if name not in then}
    gone = [name for name in then if name not in now]
    moved = {name: new[then[name].digest] for name in gone if then[name].digest in new}
    places = set(moved.values())
    changed = {name for name in then if name in now and then[name].digest != contents[name][1]}
    relabelled = {
        name for name in then if name in now and name not in changed and then[name].label != contents[name][0]
    }
    changes = Changes(
        missing=tuple(name for name in gone if name not in moved),
        changed=tuple(name for name in then if name in changed),
        relabelled=tuple(
            f"{name}: {then[name].label or 'none'} → {contents[name][0] or 'none'}"
            for name in then
            if name in relabelled
        ),
        moved=tuple(f"{name} → {moved[name]}" for name in moved),
        added=tuple(name for name in now if name not in then and name not in places),
    )
    same = [name for name in then if name in now and name not in changed and name not in relabelled]
    splits: Splits = {
        split: np.array(sorted(now[name] for name in same if then[name].split == split), np.int64) for split in SPLITS
    }
    return changes, splits


def own_splits(run: Run | None, dataset: Dataset, index: ImageIndex) -> Splits:
    """Return the splits of a run's own data: those of the training, with the images that are as they were then.

    A new division of changed data would move training images to the test split. Where nothing is recorded, the data
    are divided as for a new run.

    Raises:
        RunError: the record is damaged.
    """
    recorded = read_images(run.images_file) if run else None
    return split(dataset, index) if recorded is None else compare(recorded, dataset, index)[1]


def _content(dataset: Dataset, index: ImageIndex, number: int) -> tuple[str, str]:
    """Return the class of an image and the digest of its pixels, as they are recorded."""
    return dataset.label(number), index.digests[number].tobytes().hex()[:_DIGITS]
