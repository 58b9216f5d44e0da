"""Tar shards in the naming of WebDataset: `photos-000000.tar` …, in which `key.jpg` and `key.cls` are one sample.

The layout is that of the WebDataset library (github.com/webdataset/webdataset). Shards are not streamed: images are
read by an index, so that order is a function of seed and epoch for any number of processes. Other files of a key, as
`key.mask.png`, are not used, of which a note tells.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Int64

from striate.core.errors import DataError
from striate.core.names import canonical, legible
from striate.core.spec import InputSpec
from striate.data.dataset import Dataset, EncodedStore, Split
from striate.data.images.decode import MISSING, SUFFIXES, Unreadable, decode
from striate.data.images.decoded import DecodedImage
from striate.data.sources.registry import SOURCES, Source, by_label, by_labels, listed
from striate.data.sources.splits import split_named
from striate.data.sources.tar import Archive, open_archive

_NUMBERED = re.compile(r"(.*[-_.])?[0-9]+\.tar", re.IGNORECASE)
_BRACES = re.compile(r"\{([^{}]*)\}")
_RANGE = re.compile(r"([0-9]+)\.\.([0-9]+)")
_MOST_SHARDS = 100_000
_LARGEST_IMAGE, _LARGEST_LABEL = 1 << 30, 1 << 20  # bytes
_LABELS = ("cls", "json", "txt")
_KEYS = ("label", "labels", "cls", "class", "class_name")
_EXPECTED = "each image key.jpg, whose key has no dot, needs its class in key.cls, key.json or key.txt"


class ShardStore(EncodedStore):
    """Images in archives: image i is file `numbers[i]` of the archive `archives[shards[i]]`."""

    def __init__(
        self, archives: Sequence[Archive], shards: Int64[np.ndarray, " n"], numbers: Int64[np.ndarray, " n"]
    ) -> None:
        self._archives, self._shards, self._numbers = tuple(archives), shards, numbers
        pairs = zip(shards.tolist(), numbers.tolist(), strict=True)
        self.names = tuple(legible(f"{archives[at].path.name}/{archives[at].names[number]}") for at, number in pairs)

    def missing(self) -> Bool[np.ndarray, " n"]:
        """Return a mask of images whose archive does not exist."""
        gone = np.array([not archive.path.exists() for archive in self._archives], bool)
        return gone[self._shards] if len(gone) else np.zeros(0, bool)

    def digest(self, index: int) -> str:
        """Return SHA-256 of the bytes of image `index`, as they were when its archive was opened."""
        return self._archives[self._shards[index]].digests[self._numbers[index]].tobytes().hex()

    def place(self, index: int) -> tuple[Path, tuple[int, int, int, int]]:
        """Return the archive of image `index`, and its offset, its size, and size and time of change of the archive."""
        archive, number = self._archives[self._shards[index]], int(self._numbers[index])
        return archive.path, (int(archive.offsets[number]), int(archive.sizes[number]), *archive.signature)

    def content(self, index: int) -> bytes:
        """Read the bytes of image `index`.

        Raises:
            Unreadable: they cannot be read.
        """
        archive, number = self._archives[self._shards[index]], int(self._numbers[index])
        if archive.sizes[number] > _LARGEST_IMAGE:
            raise Unreadable(self.name(index), "too much work", f"it has {archive.sizes[number]:,} bytes")
        try:
            return archive.read(number)
        except FileNotFoundError as error:
            raise Unreadable(self.name(index), MISSING) from error
        except OSError as error:
            raise Unreadable(self.name(index), "not readable", error.strerror or str(error)) from error

    def read(self, index: int, spec: InputSpec | None = None) -> DecodedImage:
        """Decode image `index`.

        Raises:
            Unreadable: it cannot be read; the error names it and the reason.
        """
        try:
            return decode(self.content(index), spec)
        except Unreadable as error:
            raise Unreadable(self.name(index), error.reason, error.detail) from error


@dataclass
class _Sample:
    """The files of one key: the number of its image, and that of each label."""

    images: list[int] = field(default_factory=list)
    labels: dict[str, int] = field(default_factory=dict)


def recognises(path: Path) -> bool:
    if path.is_dir():
        return any(_NUMBERED.fullmatch(each.name) and each.is_file() for each in path.iterdir())
    return path.suffix.lower() == ".tar" and path.is_file()


def is_pattern(text: str) -> bool:
    """Return whether `text` is a pattern of shards, as in `photos-{000000..000099}.tar`."""
    return text.lower().endswith(".tar") and _BRACES.search(text) is not None


def shard_paths(source: Path) -> list[Path]:
    """Return the shards that a folder, a file or a pattern with braces names, in order.

    Raises:
        DataError: a shard of the pattern does not exist, or the pattern is invalid.
    """
    if source.is_dir():
        return sorted(each for each in source.iterdir() if each.suffix.lower() == ".tar" and each.is_file())
    if source.exists() or not is_pattern(str(source)):
        return [source]
    parts = _BRACES.split(str(source))
    choices = [_choices(source, part) if place % 2 else [part] for place, part in enumerate(parts)]
    count = int(np.prod([len(each) for each in choices], dtype=float))
    if count > _MOST_SHARDS:
        raise DataError(f"{source} names {count:,} shards; at most {_MOST_SHARDS:,} are opened.")
    paths = [Path("".join(each)) for each in product(*choices)]
    absent = [path.name for path in paths if not path.is_file()]
    if absent:
        raise DataError(f"{len(absent):,} of the {count:,} shards of {source} do not exist: {listed(absent)}.")
    return paths


def open_shards(source: Path) -> Dataset:
    """Open shards: a folder of them, a single one, or a pattern.

    The class of an image is the text of `key.cls` or `key.txt`, or `key.json` (a text or number, or an object with
    `label`, or with the list `labels` where an image may have several classes). A shard whose name holds a split, as in
    `train-000000.tar`, is of this split.

    Raises:
        DataError: there is no image or an image has no label, a key has two images, or an archive is damaged.
    """
    archives, shards, numbers, samples, notes = _images(source)
    unlabelled = [place for place, sample in enumerate(samples) if not sample.labels]
    store = ShardStore(archives, shards, numbers)
    if not samples:
        raise DataError(f"{source} holds no image. In a shard {_EXPECTED}.")
    if unlabelled:
        raise DataError(
            f"{len(unlabelled):,} of the {len(samples):,} images of {source} have no label, such as "
            f"{store.name(unlabelled[0])}: {_EXPECTED}."
        )
    labels = [_label(archives[at], sample) for at, sample in zip(shards.tolist(), samples, strict=True)]
    by_shard = [_split(archive.path) for archive in archives]
    splits = [by_shard[at] for at in shards.tolist()]
    if any(isinstance(label, tuple) for label in labels):
        sets = [label if isinstance(label, tuple) else (label,) for label in labels]
        return by_labels(source, store, sets, splits, notes)
    return by_label(source, store, [label for label in labels if isinstance(label, str)], splits, notes)


def open_unlabelled(source: Path) -> ShardStore:
    """Open the images of shards, with or without labels; files whose key has a dot are left out.

    Raises:
        DataError: as for `open_shards`.
    """
    archives, shards, numbers, samples, _ = _images(source)
    if not samples:
        raise DataError(f"{source} holds no image key.jpg whose key has no dot.")
    return ShardStore(archives, shards, numbers)


def _images(
    source: Path,
) -> tuple[list[Archive], Int64[np.ndarray, " n"], Int64[np.ndarray, " n"], list[_Sample], list[str]]:
    """Return archives, the archive and the number of each image, its sample, and notes on what is skipped."""
    archives = [open_archive(path) for path in shard_paths(source)]
    shards: list[int] = []
    samples: list[_Sample] = []
    unused: list[str] = []
    empty = 0
    for at, archive in enumerate(archives):
        found, others = _samples(archive)
        unused += (f"{archive.path.name}/{name}" for name in others)
        for key, sample in found.items():
            if len(sample.images) > 1:
                names = [archive.names[number] for number in sample.images]
                raise DataError(
                    f"{archive.path} has several images of the key {key!r}: {listed(names)}. Keep one of them."
                )
            if sample.images:
                shards.append(at)
                samples.append(sample)
            else:
                empty += 1
    numbers = np.array([sample.images[0] for sample in samples], np.int64)
    links = sum(len(archive.links) for archive in archives)
    skipped = (
        (links, "a link in a shard, which is not followed"),
        (empty, "a key without an image, skipped"),
        (len(unused), f"a file not used: {listed(unused)}. A key ends at the first dot: write keys without dots"),
    )
    notes = [f"{count:,} × {kind}." for count, kind in skipped if count]
    return archives, np.array(shards, np.int64), numbers, samples, notes


def _samples(archive: Archive) -> tuple[dict[str, _Sample], list[str]]:
    """Return the samples of an archive by key, and the images and labels of no key.

    A key is a path up to the first dot of its name.
    """
    found: dict[str, _Sample] = {}
    others: list[str] = []
    for number, path in enumerate(archive.names):
        folder, slash, name = path.rpartition("/")
        start, dot, suffix = name.partition(".")
        if not dot or not start:
            continue
        sample = found.setdefault(folder + slash + start, _Sample())
        if f".{suffix.lower()}" in SUFFIXES:
            sample.images.append(number)
        elif suffix.lower() in _LABELS:
            sample.labels[suffix.lower()] = number
        elif (last := suffix.lower().rpartition(".")[2]) in _LABELS or f".{last}" in SUFFIXES:
            others.append(path)
    return {key: sample for key, sample in found.items() if sample.images or sample.labels}, others


def _label(archive: Archive, sample: _Sample) -> str | tuple[str, ...]:
    """Return the class of a sample in canonical form, or its classes."""
    kind = next(kind for kind in _LABELS if kind in sample.labels)
    number = sample.labels[kind]
    where = f"{archive.path.name}/{archive.names[number]}"
    if archive.sizes[number] > _LARGEST_LABEL:
        raise DataError(f"{where} has {archive.sizes[number]:,} bytes; a class has at most {_LARGEST_LABEL:,}.")
    try:
        text = archive.read(number).decode("utf-8-sig").strip()
        value = _of_json(json.loads(text)) if kind == "json" else text
    except OSError as error:
        raise DataError(f"{where} cannot be read: {error.strerror or error}.") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where} is not text in UTF-8{' and JSON' if kind == 'json' else ''}: {error}.") from error
    if value is None or value == "" or "\0" in str(value):
        raise DataError(f"{where} holds no class: {_EXPECTED}; JSON is a text, a number, or an object with 'label'.")
    return canonical(value) if isinstance(value, str) else tuple(map(canonical, value))


def _of_json(value: object) -> str | tuple[str, ...] | None:
    """Return the class or the classes in a JSON value; None if it holds none."""
    if isinstance(value, dict):
        value = next((value[key] for key in _KEYS if key in value), None)
    if isinstance(value, list):
        texts = [_of_json(each) for each in value]
        return tuple(dict.fromkeys(text for text in texts if isinstance(text, str) and text))
    if isinstance(value, str):
        return value.strip()
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else None


def _split(path: Path) -> Split | None:
    """Return the split in the name of a shard."""
    words = re.split(r"[-_.]", path.stem)
    return next((split for word in words if not word.isdigit() and (split := split_named(word))), None)


def _choices(source: Path, inside: str) -> list[str]:
    """Return the alternatives within a pair of braces: a range of numbers, or a list."""
    numbers = _RANGE.fullmatch(inside)
    if numbers is None:
        return inside.split(",")
    first, last = int(numbers[1]), int(numbers[2])
    if last - first >= _MOST_SHARDS or last < first:
        raise DataError(f"{source} names no shards: the range {inside} is empty or has more than {_MOST_SHARDS:,}.")
    return [f"{number:0{len(numbers[1])}d}" for number in range(first, last + 1)]


SOURCES.add("shards", Source("a folder of tar shards, or a pattern of them", recognises, open_shards))
