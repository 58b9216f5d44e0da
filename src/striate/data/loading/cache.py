"""Prepared images in memory, in the depth of the data: decoded once and cached on disk.

A file of the cache is one page of header (a line of JSON, padded with spaces) followed by the bytes of the array. The
header holds the SHA-256 of those bytes: a file that was cut short or changed is ignored and written again. Writers need
no lock: each writes a file of its own and renames it, and equal names hold equal contents.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from striate.core import config
from striate.core.errors import StriateError
from striate.core.files import cache_folder, open_regular, write_atomically
from striate.core.geometry import place
from striate.core.memory import available_memory
from striate.core.progress import Progress, silent
from striate.core.spec import InputSpec
from striate.core.threads import in_order, usable_cores
from striate.data.dataset import ArrayStore, Dataset, EncodedStore, Indices, Store
from striate.data.loading.batching import pieces, prepare_rows
from striate.data.preparation.arrays import ManyPrepared
from striate.data.preparation.colour import storage_dtype
from striate.data.program import tensor_program_digest

_PIECE = 16  # images of a task
_BYTES = 1 << 20  # of arrays, where a task of small images would be shorter than its start
_MEMORY_SHARE = 0.5  # of the free memory: training needs the rest
_PAGE = 4096
_FORMAT = "striate array 1"
_FOLDER_LIMIT = 16 * 2**30


@dataclass(frozen=True, eq=False)
class CachedImages:
    """Prepared images in memory: sample i is row `row[i]` of `pixels`, or absent where that is -1."""

    row: Indices
    pixels: ManyPrepared

    def take(self, index: Indices) -> ManyPrepared:
        """Return the images `index`, in that order, as a new array."""
        return self.pixels.take(self.row[index], axis=0)


def load_cached(
    dataset: Dataset,
    indices: Indices,
    spec: InputSpec,
    *,
    digests: UInt8[np.ndarray, "n 32"] | None = None,
    threads: int | None = None,
    progress: Progress = silent,
) -> CachedImages | None:
    """Prepare the images `indices` by `spec` and hold them in memory; None if they do not fit.

    Arrays that are already as `spec` describes are used without a copy. Files are decoded once: with `digests` (the
    content digest of each image of the data set), the result is stored in the cache folder under a digest of the bytes
    of the files, of the spec and of the program, and is memory-mapped from there the next time.

    Raises:
        DataError: an image cannot be read or has other channels; the message names it.
    """
    as_it_is = _as_it_is(dataset, spec)
    if as_it_is is not None:
        return CachedImages(np.arange(len(as_it_is)), as_it_is)
    index = np.unique(indices)
    row = np.full(len(dataset), -1, np.int64)
    row[index] = np.arange(len(index))
    shape, dtype = (len(index), *spec.shape), storage_dtype(spec)
    if int(np.prod(shape)) * dtype.itemsize > _MEMORY_SHARE * available_memory():
        return None
    key = _key(dataset.store, index, digests, spec)
    path = cache_folder() / "prepared" / key if key else None
    if path is not None:
        found = find(path, shape, dtype)
        if found is not None:
            return CachedImages(row, found)
    buffer, pixels = reserve(shape, dtype)
    _fill(pixels, dataset, index, spec, usable_cores() if threads is None else threads, progress)
    if path is None or key != _key(dataset.store, index, digests, spec):  # a file was changed meanwhile
        return CachedImages(row, pixels)
    return CachedImages(row, keep(path, buffer, pixels))


def _as_it_is(dataset: Dataset, spec: InputSpec) -> ManyPrepared | None:
    """Return the array of the data itself, if preparation would change nothing and the axes are in order."""
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
    size, store = _PIECE, dataset.store
    if isinstance(store, ArrayStore):
        fitting = _BYTES // max(1, store.pixels[:1].nbytes, pixels[:1].nbytes)
        size = max(size, min(fitting, len(index) // (4 * max(1, threads))))
    prepared = in_order(
        partial(prepare_rows, dataset, spec), pieces(index, size), threads=threads, ahead=4 * max(1, threads)
    )
    done = 0
    with contextlib.closing(prepared):
        for rows in prepared:
            pixels[done : done + len(rows)] = rows
            done += len(rows)
            progress("preparing the images", done, len(index))


def _key(store: Store, index: Indices, digests: np.ndarray | None, spec: InputSpec) -> str | None:
    """Return a digest of what the prepared pixels depend on (files, program, spec); None where nothing is cached.

    The decoded pixels would not do: of two files with equal pixels, a JPEG may be decoded at a fraction of its size.
    Mean and std are left out, because they change nothing before the scale.
    """
    if digests is None or not isinstance(store, EncodedStore):
        return None
    count = len(spec.channels)
    unscaled = replace(spec, mean=(0.0,) * count, std=(1.0,) * count)
    digest = hashlib.sha256(f"{tensor_program_digest()} {config.digest(unscaled)}".encode())
    for one in store.digests(index):
        digest.update(f"\n{one}".encode())
    digest.update(np.ascontiguousarray(digests[index]).data)
    return digest.hexdigest()


def reserve(shape: tuple[int, ...], dtype: np.dtype) -> tuple[np.ndarray, np.ndarray]:
    """Allocate memory for a file and, within it, the array to fill."""
    buffer = np.empty(_PAGE + int(np.prod(shape)) * dtype.itemsize, np.uint8)
    return buffer, buffer[_PAGE:].view(dtype).reshape(shape)


def keep(path: Path, buffer: np.ndarray, array: np.ndarray) -> np.ndarray:
    """Write what `reserve` returned to `path`, and return the array mapped from there.

    Where the cache cannot be written (disk full, folder not writable), the array stays in memory.
    """
    header = json.dumps(_header(array)).encode()
    buffer[:_PAGE] = np.frombuffer(header.ljust(_PAGE), np.uint8)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _make_room(path.parent, buffer.nbytes)
        write_atomically(path, buffer.data)
        return _mapped(path, array.shape, array.dtype)
    except (StriateError, OSError):
        return array


def find(path: Path, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray | None:
    """Return the array at `path`, mapped and read-only; None if there is none, or another one."""
    try:
        with open_regular(path) as file:
            header = json.loads(file.read(_PAGE))
        array = _mapped(path, shape, dtype)
        if header != _header(array):
            return None
        os.utime(path)
        return array
    except (OSError, ValueError):
        return None


def find_bytes(path: Path) -> np.ndarray | None:
    """Return the array of uint8 at `path`, of any length, as `find` does."""
    try:
        return find(path, (os.path.getsize(path) - _PAGE,), np.dtype(np.uint8))
    except OSError:
        return None


def _header(array: np.ndarray) -> dict[str, object]:
    digest = hashlib.sha256(array.data).hexdigest()
    return {"format": _FORMAT, "shape": list(array.shape), "dtype": array.dtype.str, "sha256": digest}


def _mapped(path: Path, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    return np.asarray(np.memmap(path, dtype, mode="r", offset=_PAGE, shape=shape))


def _make_room(folder: Path, wanted: int) -> None:
    """Delete the least recently used files until `wanted` more bytes fit within the limit of the folder."""
    with contextlib.suppress(OSError):  # another process may be doing the same
        files = sorted((entry.stat().st_mtime, entry.stat().st_size, entry.path) for entry in os.scandir(folder))
        excess = sum(size for _, size, _ in files) + wanted - _FOLDER_LIMIT
        for _, size, path in files:
            if excess <= 0:
                return
            os.unlink(path)
            excess -= size
