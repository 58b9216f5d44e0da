"""Which images a run was started with, by name and by content: `images.csv` in its folder.

Images that are files may be deleted, replaced or added while a run is stopped. This record says which ones, and keeps
the others in the splits in which they were.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from striate.core.errors import RunError
from striate.core.files import open_regular, write_atomically
from striate.data.audit.audit import Audit
from striate.data.dataset import SPLITS, Dataset, FileStore
from striate.data.split import Parts
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
    """What is not as it was. `missing`: names that cannot be read any more; `changed`: those with other pixels or
    another class; `added`: those that were not there."""

    missing: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    added: tuple[str, ...] = ()

    def __str__(self) -> str:
        kinds = (
            (self.missing, "cannot be read any more"),
            (self.changed, "changed"),
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


def write_images(path: Path, dataset: Dataset, found: Audit) -> None:
    """Record the images of `dataset` that are in a split. Data that are no files of their own are not recorded.

    Raises:
        RunError: the file cannot be written, or the disk is full.
    """
    if not isinstance(dataset.store, FileStore):
        return
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for name, entry in _entries(dataset, found).items():
        writer.writerow([name, entry.label, entry.split, entry.digest])
    write_atomically(path, text.getvalue().encode(errors="surrogateescape"))


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


def compare(then: Mapping[str, Entry], dataset: Dataset, found: Audit) -> tuple[Changes, Parts]:
    """Compare the images of `dataset` with those of the record.

    Returns what changed, and the splits of the record with the images that are as they were.
    """
    now = _entries(dataset, found)
    readable = {name for name, known in zip(dataset.store.names, found.survey.readable.tolist(), strict=True) if known}
    same = {name for name, entry in then.items() if name in now and _is(entry, now[name])}
    changes = Changes(
        missing=tuple(name for name in then if name not in readable),
        changed=tuple(name for name in then if name in readable and name not in same),
        added=tuple(name for name in now if name not in then),
    )
    numbers = {name: number for number, name in enumerate(dataset.store.names) if name in same}
    parts: Parts = {
        split: np.array(sorted(numbers[name] for name in same if then[name].split == split), np.int64)
        for split in SPLITS
    }
    return changes, parts


def own_parts(run: Run, dataset: Dataset, found: Audit) -> Parts:
    """The splits of a run's own data: those of the training, with the images that are as they were then.

    To divide changed data anew would move images of the training into the test.

    Raises:
        RunError: the record is damaged.
    """
    recorded = read_images(run.images_file)
    return found.parts if recorded is None else compare(recorded, dataset, found)[1]


def _is(then: Entry, now: Entry) -> bool:
    return (then.label, then.digest) == (now.label, now.digest)


def _entries(dataset: Dataset, found: Audit) -> dict[str, Entry]:
    """An entry for each image that is in a split."""
    entries: dict[str, Entry] = {}
    for split in SPLITS:
        for index in found.parts[split].tolist():
            label = dataset.classes[dataset.targets[index]]
            entries[dataset.store.name(index)] = Entry(
                label, split, found.survey.digests[index].tobytes().hex()[:_DIGITS]
            )
    return entries
