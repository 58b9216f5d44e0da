"""Images with their labels, under indices that never change: an index always identifies its file."""

from __future__ import annotations

import os
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Int64, Shaped

from striate.core.files import file_digest
from striate.core.names import legible
from striate.core.notebook import table
from striate.core.progress import Progress, silent
from striate.core.spec import InputSpec, channel_names
from striate.core.threads import in_order, usable_cores
from striate.data.images.decode import decode
from striate.data.images.decoded import DecodedImage, ManyPixels

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = ("train", "val", "test")
Indices = Int64[np.ndarray, " _"]
Splits = dict[Split, Indices]

_RARE = 10  # images of a combination of classes; fewer cannot be divided evenly
_FILES = 64  # read by a thread before it reports
_WORTH_LISTING = 16  # files in one folder
_ORDINARY = re.compile(r"[^~\0]{0,254}[^~\0. ]")  # others may be another name of a file, or no name at all


@runtime_checkable
class Store(Protocol):
    """The storage of the images of a data set."""

    def __len__(self) -> int: ...

    @property
    def names(self) -> Sequence[str]:
        """The name of each image: its path relative to the data's root, or `"train 00012"` if it is not a file."""
        ...

    def name(self, index: int) -> str: ...

    def read(self, index: int, spec: InputSpec | None = None) -> DecodedImage:
        """Decode image `index`; with a `spec`, a JPEG may be decoded at a fraction of its size (see `decode`)."""
        ...


class EncodedStore(ABC):
    """Images that are encoded, as files or parts of files: caches are found by a digest of their bytes."""

    names: Sequence[str]

    def __len__(self) -> int:
        return len(self.names)

    def name(self, index: int) -> str:
        return self.names[index]

    @abstractmethod
    def missing(self) -> Bool[np.ndarray, " n"]:
        """Return a mask of images whose file certainly does not exist."""

    @abstractmethod
    def digest(self, index: int) -> str:
        """Return SHA-256 of the bytes of image `index`, in hexadecimal; where they cannot be read, the error number."""

    @abstractmethod
    def read(self, index: int, spec: InputSpec | None = None) -> DecodedImage:
        """Decode image `index`.

        Raises:
            Unreadable: it cannot be read; the error names it and the reason.
        """

    def digests(self, indices: Indices, progress: Progress = silent) -> Iterator[str]:
        """Yield `digest` of each of `indices`, read in threads; `progress` counts them."""
        threads = usable_cores()
        pieces = (indices[start : start + _FILES] for start in range(0, len(indices), _FILES))
        work = in_order(lambda piece: [*map(self.digest, piece.tolist())], pieces, threads=threads, ahead=4 * threads)
        done = 0
        with closing(work):
            for digests in work:
                yield from digests
                done += len(digests)
                if len(indices) > _FILES:
                    progress("reading files", done, len(indices))


class FileStore(EncodedStore):
    """Images that are files: `paths` are relative to `root` (or absolute).

    A name is its path, in which bytes that are not UTF-8 are spelled out, so that it can be printed and stored.
    """

    def __init__(self, root: Path, paths: Sequence[str]) -> None:
        self.root = root
        self.names = tuple(map(legible, paths))
        self._paths = tuple(paths)
        self._digests: dict[int, tuple[tuple[int, ...], str]] = {}

    def path(self, index: int) -> Path:
        """Return the file of image `index`."""
        return self.root / self._paths[index]

    def missing(self) -> Bool[np.ndarray, " n"]:
        """Return a mask of files that certainly do not exist.

        Each folder of many files is listed once, which takes a tenth of the time of a look at each file.
        """
        folders: dict[str, list[int]] = {}
        for index, path in enumerate(self._paths):
            folders.setdefault(path[: path.rfind("/") + 1], []).append(index)
        missing = np.zeros(len(self), bool)
        for folder, indices in folders.items():
            names = _listing(os.path.join(self.root, folder)) if len(indices) >= _WORTH_LISTING else None
            for index in indices:
                name = self._paths[index][len(folder) :]
                missing[index] = self._is_missing(index) if names is None else _is_unlisted(name, names)
        return missing

    def _is_missing(self, index: int) -> bool:
        try:
            os.lstat(os.path.join(self.root, self._paths[index]))
        except (FileNotFoundError, NotADirectoryError):
            return True
        except (OSError, ValueError):  # a closed folder, or a zero byte in its name: reading it tells the reason
            return False
        return False

    def digest(self, index: int) -> str:
        """Return SHA-256 of the bytes of file `index`, in hexadecimal; where it cannot be read, the error number.

        A file is read again only when its size, its times or its place on the disk have changed.
        """
        try:
            path = os.path.join(self.root, self._paths[index])
            status = os.stat(path)
            signature = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
            known = self._digests.get(index)
            if known is None or known[0] != signature:
                known = self._digests[index] = (signature, file_digest(Path(path)))
            return known[1]
        except (OSError, ValueError) as error:  # a zero byte in a name is a ValueError
            return f"error {getattr(error, 'errno', None)}"

    def read(self, index: int, spec: InputSpec | None = None) -> DecodedImage:
        """Decode the file of image `index`.

        Raises:
            Unreadable: it cannot be read; the error names it and the reason.
        """
        return decode(self.path(index), spec)


def _listing(folder: str) -> set[str] | None:
    """Return the names in `folder` without case; none if there is no folder, None if it cannot be listed."""
    if os.name == "nt":  # a file has other names there that no listing shows, such as IMAGE~1.JPG
        return None
    try:
        return {"", *map(str.casefold, os.listdir(folder))}
    except (FileNotFoundError, NotADirectoryError):
        return set()
    except (OSError, ValueError):
        return None


def _is_unlisted(name: str, names: set[str]) -> bool:
    """Return whether no file system, not even one of Windows or macOS, finds `name` in a folder of these `names`."""
    return not names or (name.isascii() and name.casefold() not in names and _ORDINARY.fullmatch(name) is not None)


class ArrayStore:
    """Images that are rows of one array (which may be memory-mapped), all of one size."""

    def __init__(self, pixels: ManyPixels, names: Sequence[str], channels: tuple[str, ...] | None = None) -> None:
        self.pixels = pixels
        self.names: Sequence[str] = names
        self.channels = channels or channel_names(pixels.shape[3])
        if len(names) != len(pixels) or len(self.channels) != pixels.shape[3]:
            raise ValueError(f"{len(names)} names and {len(self.channels)} channels for pixels {pixels.shape}")

    def __len__(self) -> int:
        return len(self.pixels)

    def name(self, index: int) -> str:
        return self.names[index]

    def read(self, index: int, spec: InputSpec | None = None) -> DecodedImage:
        """Return row `index` without a copy; `spec` has no effect, because nothing is decoded."""
        pixels = self.pixels[index]
        return DecodedImage(pixels, self.channels, original=pixels.shape[:2], mode=f"array {pixels.dtype}")


def numbered(part: str, count: int) -> list[str]:
    """Name `count` images that are not files: `"train 00000"`, `"train 00001"` …"""
    digits = max(5, len(str(count - 1)))
    return [f"{part} {number:0{digits}d}" for number in range(count)]


@dataclass(frozen=True, eq=False)
class Dataset:
    """Labelled images.

    `targets[i]` is what a task learns of image i, as `striate.tasks.Task.targets` reads it. For classification it is
    the place of its class among `classes`, which are in natural order. Whole numbers or bools with a column for each
    class say which classes an image has. Targets of other forms name no class.

    `splits` holds the indices of the splits that the data define, any of train, val and test; an image may
    be in none. `source` is the argument of the user. `masks` returns the object of image i as a bool array of its
    height and width, where the truth is known. `groups` holds a number for each image; images of one number (of a
    patient, of a film) are not divided between splits or folds, except by `splits`, of which the audit warns. `notes`
    are sentences on files that the source skipped, and `cautions` on decisions that may be wrong; the audit repeats
    both.
    """

    name: str
    store: Store
    classes: tuple[str, ...]
    targets: Shaped[np.ndarray, "n ..."]
    splits: Mapping[Split, Indices] = field(default_factory=dict)
    source: str = ""
    masks: Callable[[int], np.ndarray] | None = None
    groups: Indices | None = None
    notes: tuple[str, ...] = ()
    cautions: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        count = len(self.store)
        if len(self.targets) != count:
            raise ValueError(f"{self.name}: {len(self.targets)} targets for {count} images")
        if self.groups is not None and len(self.groups) != count:
            raise ValueError(f"{self.name}: {len(self.groups)} groups for {count} images")
        if self._numbers and count and not 0 <= self.targets.min() <= self.targets.max() < len(self.classes):
            raise ValueError(f"{self.name}: targets leave the {len(self.classes)} classes")
        placed = np.concatenate([np.empty(0, np.int64), *self.splits.values()])
        if not set(self.splits) <= set(SPLITS) or len(np.unique(placed)) != len(placed):
            raise ValueError(f"{self.name}: splits {list(self.splits)} are not disjoint splits train, val, test")
        if len(placed) and not 0 <= placed.min() <= placed.max() < count:
            raise ValueError(f"{self.name}: splits name images that do not exist")

    def __len__(self) -> int:
        return len(self.store)

    @cached_property
    def strata(self) -> Int64[np.ndarray, " n"]:
        """A number for each image, equal for images that are divided evenly between splits.

        This is its class, or its combination of classes. A combination of fewer than 10 images cannot be divided: it
        counts as the class in it that fewest images have, which is the first one that the iterative stratification of
        K. Sechidis et al. 2011 ("On the stratification of multi-label data", ECML PKDD) divides. Images whose targets
        name no class are one stratum.
        """
        if self._numbers:
            return self.targets
        if not self.has_label_sets:
            return np.zeros(len(self), np.int64)
        having = self.targets != 0
        _, combination, counts = np.unique(having, axis=0, return_inverse=True, return_counts=True)
        by_frequency = having.sum(axis=0).argsort(kind="stable")
        rarest = by_frequency[having[:, by_frequency].argmax(axis=1)]
        return np.where((counts[combination] < _RARE) & having.any(axis=1), -1 - rarest, combination)

    @property
    def _numbers(self) -> bool:
        """Whether targets are numbers of classes."""
        return self.targets.ndim == 1 and self.targets.dtype.kind in "iu"

    @property
    def has_label_sets(self) -> bool:
        """Whether an image may have several classes: targets have a column for each."""
        return self.targets.dtype.kind in "biu" and self.targets.shape[1:] == (len(self.classes),)

    def class_counts(self, indices: Indices) -> Int64[np.ndarray, " k"]:
        """Count the images of each class among `indices`."""
        if self.has_label_sets:
            return np.count_nonzero(self.targets[indices], axis=0)
        numbers = self.targets[indices] if self._numbers else np.empty(0, np.int64)
        return np.bincount(numbers, minlength=len(self.classes))

    def having(self, number: int) -> Bool[np.ndarray, " n"]:
        """Return the mask of the images that have the class `number`."""
        if self.has_label_sets:
            return self.targets[:, number] != 0
        return self.targets == number if self._numbers else np.zeros(len(self), bool)

    def label(self, index: int) -> str:
        """Return the class of image `index`, or its classes, separated by commas."""
        if self.has_label_sets:
            return ", ".join(self.classes[number] for number in np.flatnonzero(self.targets[index]).tolist())
        return self.classes[self.targets[index]] if self._numbers else ""

    def __repr__(self) -> str:
        splits = "".join(f", {split} {len(indices):,}" for split, indices in self.splits.items())
        return f"Dataset({self.name!r}: {len(self):,} images, {len(self.classes)} classes{splits})"

    def _repr_html_(self) -> str:
        counts = self.class_counts(np.arange(len(self)))
        return table(("class", "images"), zip(self.classes, counts.tolist(), strict=True), title=repr(self))
