"""Prepared pictures held in memory, in the depth of the data, decoded once."""

from __future__ import annotations

import hashlib
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from jaxtyping import UInt8

from striate.core import config
from striate.core.files import cache_folder
from striate.core.geometry import place
from striate.core.memory import available_memory
from striate.core.progress import Progress, silent
from striate.core.spec import InputSpec
from striate.core.threads import in_order, usable_cores
from striate.data.dataset import ArrayStore, Dataset, FileStore, Indices, Store
from striate.data.loading import cache
from striate.data.loading.batching import pieces, prepare_rows
from striate.data.preparation.arrays import ManyPrepared
from striate.data.preparation.colour import storage_dtype
from striate.data.program import program_digest

_PIECE = 16
_MEMORY_SHARE = 0.5  # of what is free: the training needs the rest


@dataclass(frozen=True, eq=False)
class Held:
    """Prepared pictures in memory: sample i is row `row[i]` of `pixels`, or not held where that is -1."""

    row: Indices
    pixels: ManyPrepared

    def take(self, index: Indices) -> ManyPrepared:
        """The pictures `index`, in that order, as a new array."""
        return self.pixels.take(self.row[index], axis=0)


def hold(
    dataset: Dataset,
    indices: Indices,
    spec: InputSpec,
    *,
    digests: UInt8[np.ndarray, "n 32"] | None = None,
    threads: int | None = None,
    progress: Progress = silent,
) -> Held | None:
    """The pictures `indices` prepared by `spec`, in memory; None if they do not fit.

    Arrays that are already what `spec` wants are used as they lie. Files are decoded once: where `digests` (the
    content digest of each picture of the data set) are given, the result is kept in the cache folder under a digest of
    the files' bytes, of the spec and of the program, and is memory-mapped from there the next time.

    Raises:
        DataError: a picture cannot be read or is of another kind; the message names it.
    """
    as_it_is = _as_it_is(dataset, spec)
    if as_it_is is not None:
        return Held(np.arange(len(as_it_is)), as_it_is)
    index = np.unique(indices)
    row = np.full(len(dataset), -1, np.int64)
    row[index] = np.arange(len(index))
    shape, dtype = (len(index), *spec.shape), storage_dtype(spec)
    if int(np.prod(shape)) * dtype.itemsize > _MEMORY_SHARE * available_memory():
        return None
    key = _key(dataset.store, index, digests, spec)
    path = cache_folder() / "prepared" / key if key else None
    if path is not None:
        found = cache.find(path, shape, dtype)
        if found is not None:
            return Held(row, found)
    buffer, pixels = cache.reserve(shape, dtype)
    _fill(pixels, dataset, index, spec, usable_cores() if threads is None else threads, progress)
    if path is None or key != _key(dataset.store, index, digests, spec):  # a file was changed meanwhile
        return Held(row, pixels)
    return Held(row, cache.keep(path, buffer, pixels))


def _as_it_is(dataset: Dataset, spec: InputSpec) -> ManyPrepared | None:
    """The array of the data itself, if preparing it would change nothing, and the axes already lie as they should."""
    store = dataset.store
    if not isinstance(store, ArrayStore):
        return None
    size = store.pixels.shape[1:3]
    placed = place(spec, *size)
    unchanged = store.channels == spec.channels and store.pixels.dtype == storage_dtype(spec)
    view = store.pixels.transpose(0, 3, 1, 2)
    same_grid = placed.resized == size == spec.size
    return view if unchanged and same_grid and view.flags.c_contiguous else None


def _fill(
    pixels: ManyPrepared,
    dataset: Dataset,
    index: Indices,
    spec: InputSpec,
    threads: int,
    progress: Progress,
) -> None:
    prepared = in_order(
        partial(prepare_rows, dataset, spec), pieces(index, _PIECE), threads=threads, ahead=4 * max(1, threads)
    )
    done = 0
    with closing(prepared):
        for rows in prepared:
            for row in rows:
                pixels[done] = row
                done += 1
            progress("preparing the images", done, len(index))


def _key(store: Store, index: Indices, digests: np.ndarray | None, spec: InputSpec) -> str | None:
    """A digest of all that the prepared pixels depend on: the files' bytes, the program and the spec; None where
    nothing is to be kept.

    The decoded pixels would not do: of two files that hold the same, a JPEG may be decoded at a fraction of its size.
    Mean and std are left out, because they change nothing before the scale.
    """
    if digests is None or not isinstance(store, FileStore):
        return None
    count = len(spec.channels)
    unscaled = replace(spec, mean=(0.0,) * count, std=(1.0,) * count)
    digest = hashlib.sha256(f"{program_digest()} {config.digest(unscaled)}".encode())
    for one in store.digests(index):
        digest.update(f"\n{one}".encode())
    digest.update(np.ascontiguousarray(digests[index]).data)
    return digest.hexdigest()
