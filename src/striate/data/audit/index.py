"""Decode every image of a data set once, into the index that audit, splitting and measuring read."""

from __future__ import annotations

import hashlib
import io
import zipfile
import zlib
from contextlib import closing, suppress
from dataclasses import dataclass, fields, replace
from functools import cached_property, partial
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float64, Int8, Int64, Shaped, UInt8

from striate.core.errors import DataError, StriateError
from striate.core.files import cache_folder, open_regular, write_atomically
from striate.core.progress import Progress, silent
from striate.core.threads import in_order, usable_cores
from striate.data.audit.digests import DIGEST_BYTES, array_digest, content_digest, content_digests, first_of_equals
from striate.data.audit.duplicates import SMALLEST_SIDE, THUMBNAIL, TINT, Appearances, stars, thumbnail, tint
from striate.data.audit.visible import is_simple, visible
from striate.data.dataset import SPLITS, ArrayStore, Dataset, EncodedStore, Indices, Splits, Store
from striate.data.images.codecs.refusal import TOO_LITTLE_MEMORY
from striate.data.images.decode import MISSING, Unreadable
from striate.data.images.decoded import NOTED, Pixels, full_intensity
from striate.data.images.kinds import OTHER_CHANNELS, common_channels, left_out, named
from striate.data.program import program_digest

# A group of near duplicates larger than this fraction of the data says more about the data (blank pages, frames of one
# film) than about copies: it is reported and may be divided. Up to ten images are few in data of any size.
_LARGE_SHARE, _LARGE_COUNT = 0.01, 10.0
_STAGE = "looking through the images"
_REPORT_EVERY = 100
_MOST_PIECES, _LARGEST_PIECE = 1000, 64

Columns = dict[str, np.ndarray]


@dataclass(frozen=True, eq=False)
class ImageIndex:
    """One row for each image, under the data set's own indices; rows of unreadable images are zero or empty.

    `reasons`: why an image is unreadable, in a word, else ""; `details`: explanations. `heights`, `widths`: of the
    upright image, in pixels. `channels`: comma-separated. `maxima`: the stored value of full intensity. `modes`: how
    the file stores it. `orientations`: the EXIF orientation that was undone. `digests`: SHA-256 of the decoded upright
    pixels. `visible`: SHA-256 of their visible content, independent of storage (`striate.data.audit.visible`).
    `near_duplicate_of`: the representative of the image's group of near duplicates (`striate.data.audit.duplicates`),
    equal ones included; the image itself, where it has no group. `compared`: the images that are large enough to be
    compared, with `thumbnails` and `tints`.
    """

    reasons: Shaped[np.ndarray, " n"]
    details: Shaped[np.ndarray, " n"]
    heights: Int64[np.ndarray, " n"]
    widths: Int64[np.ndarray, " n"]
    channels: Shaped[np.ndarray, " n"]
    maxima: Float64[np.ndarray, " n"]
    modes: Shaped[np.ndarray, " n"]
    orientations: Int64[np.ndarray, " n"]
    digests: UInt8[np.ndarray, "n 32"]
    visible: UInt8[np.ndarray, "n 32"]
    near_duplicate_of: Int64[np.ndarray, " n"]
    compared: Int64[np.ndarray, " m"]
    thumbnails: UInt8[np.ndarray, "m 48 48"]
    tints: Int8[np.ndarray, "m 8 8 2"]

    def __len__(self) -> int:
        return len(self.reasons)

    @cached_property
    def readable(self) -> Bool[np.ndarray, " n"]:
        """Whether each image can be read."""
        return self.reasons == ""

    @cached_property
    def duplicate_of(self) -> Int64[np.ndarray, " n"]:
        """The first image that shows the same; the image itself, where it is the first or unreadable."""
        return np.where(self.readable, first_of_equals(self.visible), np.arange(len(self)))

    @cached_property
    def inseparable(self) -> Int64[np.ndarray, " n"]:
        """The group that stays in one split: `near_duplicate_of`, except for groups above `largest_group`."""
        sizes = np.bincount(self.near_duplicate_of, minlength=len(self))[self.near_duplicate_of]
        return np.where(sizes > largest_group(len(self)), np.arange(len(self)), self.near_duplicate_of)

    def appearances(self, indices: np.ndarray) -> tuple[Int64[np.ndarray, " k"], Appearances]:
        """Return those of `indices` that are large enough to be compared, and their appearances."""
        compared, _, rows = np.intersect1d(indices, self.compared, assume_unique=True, return_indices=True)
        return compared, Appearances(self.thumbnails[rows], self.tints[rows])

    def splits_of(self, dataset: Dataset) -> Splits:
        """Return the splits that `dataset` brings, without unreadable images, each in ascending order."""
        none = np.empty(0, np.int64)
        splits: Splits = {}
        for split in SPLITS:
            indices = np.sort(dataset.splits.get(split, none))
            splits[split] = indices[self.readable[indices]]
        return splits


def index_images(
    dataset: Dataset, *, channels: tuple[str, ...] | None = None, progress: Progress = silent
) -> ImageIndex:
    """Decode every image of `dataset` once and index it.

    An image that cannot be converted to `channels` (by default those of most of the data) counts as unreadable.

    The index is cached under a digest of the bytes of all files (or of the array) and of the program that decodes:
    the same images are not decoded twice, whatever their names, and changed ones always are. An index with an image
    for which the memory did not suffice is not cached.
    """
    missing = _missing(dataset.store)
    key = _key(dataset.store, missing, progress)
    path = cache_folder() / "indexes" / f"{key}.npz" if key else None
    known = _load(path, len(dataset)) if path else None
    if known:
        return _of_channels(known, channels)
    found = ImageIndex(**_columns_of(dataset.store, missing, progress))
    complete = TOO_LITTLE_MEMORY not in found.reasons
    if path and complete and key == _key(dataset.store, _missing(dataset.store)):  # else a file was changed meanwhile
        _save(path, found)
    return _of_channels(found, channels)


def check_readable(dataset: Dataset, index: ImageIndex, known: Indices | None = None) -> None:
    """Check that an image of `dataset` can be read: one of those of `known` classes, where these are named.

    Raises:
        DataError: none can, or there is none.
    """
    among = np.arange(len(index)) if known is None else known
    if index.readable[among].any():
        return
    kind = " of a known class" if len(among) < len(index) else ""
    first = ""
    if len(among):
        number = int(among[0])
        why = Unreadable("", str(index.reasons[number]), str(index.details[number])).why
        first = f" (the first is {dataset.store.name(number)}: {why})"
    raise DataError(f"{dataset.source} has no image{kind} that can be read{first}.")


def largest_group(count: int) -> float:
    """Return the size above which a group of near duplicates among `count` images may be divided between splits."""
    return max(_LARGE_COUNT, _LARGE_SHARE * count)


def data_digest(dataset: Dataset, index: ImageIndex) -> str:
    """Return SHA-256 of the training data: pixels, classes and the splits of the data, in the order of indices.

    Names and folders of files do not change it.
    """
    split = np.full(len(dataset), len(SPLITS), np.uint8)
    for number, name in enumerate(SPLITS):
        split[dataset.splits.get(name, np.empty(0, np.int64))] = number
    digest = hashlib.sha256("\n".join(dataset.classes).encode())
    targets = dataset.targets.astype("<i8") if dataset.targets.ndim == 1 else dataset.targets
    for column in (targets, split, index.readable.astype(np.uint8), index.digests):
        digest.update(np.ascontiguousarray(column).data)
    return digest.hexdigest()


@dataclass(frozen=True)
class _Row:
    """The columns of one image that are single values; the defaults are those of an unreadable one."""

    reasons: str = ""
    details: str = ""
    heights: int = 0
    widths: int = 0
    channels: str = ""
    maxima: float = 0.0
    modes: str = ""
    orientations: int = 0


@dataclass(frozen=True)
class _Appearance:
    """The form in which images are compared: a digest of the visible content; of large images a thumbnail and tint."""

    digest: bytes
    thumbnail: np.ndarray | None = None
    tint: np.ndarray | None = None


def _missing(store: Store) -> Bool[np.ndarray, " n"]:
    return store.missing() if isinstance(store, EncodedStore) else np.zeros(len(store), bool)


def _columns_of(store: Store, missing: Bool[np.ndarray, " n"], progress: Progress) -> Columns:
    there = np.flatnonzero(~missing)
    columns, appearances = _index_array(store) if isinstance(store, ArrayStore) else _index_each(store, there, progress)
    progress(_STAGE, len(store), len(store))
    columns["visible"] = _stack([appearance.digest for appearance in appearances])
    columns |= _compared(appearances)
    if len(there) < len(store):
        columns |= _with_missing(columns, there, len(store))
    columns["near_duplicate_of"] = _near_duplicates(columns, progress)
    return columns


def _index_array(store: ArrayStore) -> tuple[Columns, list[_Appearance]]:
    """Index an array; all its rows are of one kind, so that only digests and appearances differ."""
    pixels = store.pixels
    height, width = pixels.shape[1:3]
    maximum = full_intensity(pixels.dtype)
    row = _Row("", "", height, width, ",".join(store.channels), maximum, f"array {pixels.dtype}", 1)
    columns = {name: np.repeat(column, len(pixels)) for name, column in _columns([row]).items()}
    columns["digests"] = content_digests(pixels, store.channels)
    digests = [digest.tobytes() for digest in columns["digests"]]
    if is_simple(pixels.dtype, store.channels) and min(height, width) < SMALLEST_SIDE:
        return columns, [_Appearance(digest) for digest in digests]
    return columns, [_appearance(*one, store.channels) for one in zip(digests, pixels, strict=True)]


def _with_missing(columns: Columns, there: Indices, count: int) -> Columns:
    """Return the columns of `count` images from those of the images that are `there`; the others are missing."""
    blank = np.zeros((1, DIGEST_BYTES), np.uint8)
    every: Columns = {"compared": there[columns["compared"]]}
    for name, row in (_columns([_Row(MISSING)]) | {"digests": blank, "visible": blank}).items():
        every[name] = np.repeat(row.astype(np.result_type(row, columns[name])), count, axis=0)
        every[name][there] = columns[name]
    return every


def _index_each(store: Store, indices: Indices, progress: Progress) -> tuple[Columns, list[_Appearance]]:
    """Decode in threads: the decoders release the interpreter lock."""
    rows: list[_Row] = []
    digests: list[bytes] = []
    appearances: list[_Appearance] = []
    threads, count = usable_cores(), len(indices)
    size = min(_LARGEST_PIECE, 1 + count // _MOST_PIECES)
    pieces = (indices[start : start + size].tolist() for start in range(0, count, size))
    with closing(in_order(partial(_index_piece, store), pieces, threads=threads, ahead=4 * threads)) as found:
        for piece in found:
            reported = len(rows) // _REPORT_EVERY
            for row, digest, appearance in piece:
                rows.append(row)
                digests.append(digest)
                appearances.append(appearance)
            if len(rows) // _REPORT_EVERY > reported and len(rows) < count:  # the end is reported by the caller
                progress(_STAGE, len(store) - count + len(rows), len(store))
    columns = _columns(rows)
    columns["digests"] = _stack(digests)
    return columns, appearances


def _index_piece(store: Store, piece: list[int]) -> list[tuple[_Row, bytes, _Appearance]]:
    return [_index_one(store, index) for index in piece]


def _index_one(store: Store, index: int) -> tuple[_Row, bytes, _Appearance]:
    try:
        image = store.read(index)
    except Unreadable as error:
        return _Row(error.reason, error.detail), bytes(DIGEST_BYTES), _Appearance(bytes(DIGEST_BYTES))
    height, width = image.pixels.shape[:2]
    channels = ",".join(image.channels)
    mode = f"{image.mode}{NOTED}{image.note}" if image.note else image.mode
    row = _Row("", "", height, width, channels, image.maximum, mode, image.orientation)
    digest = content_digest(image.pixels, image.channels, image.prepared)
    return row, digest, _appearance(digest, image.pixels, image.channels, image.prepared)


def _appearance(digest: bytes, pixels: Pixels, channels: tuple[str, ...], prepared: str = "") -> _Appearance:
    seen, names = visible(pixels, channels)
    if seen is not pixels:
        digest = content_digest(seen, names, prepared)
    if min(seen.shape[:2]) < SMALLEST_SIDE:
        return _Appearance(digest)
    return _Appearance(digest, thumbnail(seen), tint(seen))


def _stack(digests: list[bytes]) -> np.ndarray:
    return np.frombuffer(b"".join(digests), np.uint8).reshape(len(digests), DIGEST_BYTES)


def _columns(rows: list[_Row]) -> Columns:
    return {
        field.name: np.array([getattr(row, field.name) for row in rows], dtype=type(field.default))
        for field in fields(_Row)
    }


def _compared(appearances: list[_Appearance]) -> Columns:
    large = [at for at, each in enumerate(appearances) if each.thumbnail is not None]
    return {
        "compared": np.array(large, np.int64),
        "thumbnails": np.array([appearances[at].thumbnail for at in large], np.uint8).reshape(-1, THUMBNAIL, THUMBNAIL),
        "tints": np.array([appearances[at].tint for at in large], np.int8).reshape(-1, *TINT),
    }


def _near_duplicates(columns: Columns, progress: Progress) -> np.ndarray:
    """Group near duplicates: compare images that are large enough, one for each set of equal ones."""
    digests = columns["visible"]
    groups = np.where(columns["reasons"] == "", first_of_equals(digests), np.arange(len(digests)))
    first = groups[columns["compared"]] == columns["compared"]
    compared = columns["compared"][first]
    if len(compared):
        aspects = columns["widths"][compared] / columns["heights"][compared]
        order = np.argsort(np.ascontiguousarray(digests[compared]).view(f"S{DIGEST_BYTES}").reshape(-1), kind="stable")
        images = Appearances(columns["thumbnails"][first], columns["tints"][first])
        groups[compared] = compared[stars(images, aspects, np.argsort(order), progress)]
    return groups[groups]


def _of_channels(index: ImageIndex, channels: tuple[str, ...] | None) -> ImageIndex:
    """Mark each readable image that cannot be converted to `channels` as unreadable."""
    if not index.readable.any():
        return index
    wanted = channels or common_channels(index.channels[index.readable])
    odd = index.readable & left_out(index.channels, wanted)
    if not odd.any():
        return index
    ending = f"; {'wanted' if channels else 'most have'}: {named(wanted)}"
    details = index.details.astype(object)
    details[odd] = [f"it has {named(tuple(kind.split(',')))}{ending}" for kind in index.channels[odd].tolist()]
    return replace(index, reasons=np.where(odd, OTHER_CHANNELS, index.reasons), details=details.astype(str))


def _key(store: Store, missing: Bool[np.ndarray, " n"], progress: Progress = silent) -> str | None:
    """Return a digest of everything that the index of `store` depends on; None for a store that has no bytes."""
    digest = hashlib.sha256(program_digest().encode())
    if isinstance(store, EncodedStore):
        digest.update(missing.tobytes())
        for one in store.digests(np.flatnonzero(~missing), progress):
            digest.update(f"\n{one}".encode())
    elif isinstance(store, ArrayStore):
        digest.update(array_digest(store.pixels, store.channels).encode())
    else:
        return None
    return digest.hexdigest()


def _load(path: Path, count: int) -> ImageIndex | None:
    """Read the index at `path`; None if there is none, or it is damaged (the archive has a checksum of each column)."""
    try:
        # From memory: given a path, np.load leaves the file open where it is no archive.
        with open_regular(path) as file, np.load(io.BytesIO(file.read()), allow_pickle=False) as columns:
            found = ImageIndex(**{field.name: columns[field.name] for field in fields(ImageIndex)})
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error):
        return None
    return found if len(found) == count else None


def _save(path: Path, index: ImageIndex) -> None:
    """Write `index` to `path`; where the cache cannot be written, images are indexed again next time."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **{field.name: getattr(index, field.name) for field in fields(ImageIndex)})
    with suppress(StriateError, OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, buffer.getvalue())
