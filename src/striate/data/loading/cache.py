"""An array on disk that is whole or not there: memory-mapped, checked when opened, rebuilt by its owner when broken.

One page of header (a line of JSON, filled up with spaces) and the bytes of the array behind it. The header holds the
SHA-256 of those bytes: a file that was cut short or changed is not believed. Writers do not need to know of each other:
each writes a file of its own and renames it, and equal names hold equal contents.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from pathlib import Path

import numpy as np

from striate.core.errors import StriateError
from striate.core.files import open_regular, write_atomically

_PAGE = 4096
_FORMAT = "striate array 1"
_FOLDER_LIMIT = 16 * 2**30


def reserve(shape: tuple[int, ...], dtype: np.dtype) -> tuple[np.ndarray, np.ndarray]:
    """Memory for a file and, within it, the array to fill."""
    buffer = np.empty(_PAGE + int(np.prod(shape)) * dtype.itemsize, np.uint8)
    return buffer, buffer[_PAGE:].view(dtype).reshape(shape)


def keep(path: Path, buffer: np.ndarray, array: np.ndarray) -> np.ndarray:
    """Write what `reserve` gave to `path`, and give the array as it lies there, mapped.

    A cache is a favour: where it cannot be written (disk full, folder not writable), the array stays in memory.
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
    """The array at `path`, mapped and read-only; None if there is none, or not the one that is wanted."""
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


def _header(array: np.ndarray) -> dict[str, object]:
    digest = hashlib.sha256(array.data).hexdigest()
    return {"format": _FORMAT, "shape": list(array.shape), "dtype": array.dtype.str, "sha256": digest}


def _mapped(path: Path, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    return np.asarray(np.memmap(path, dtype, mode="r", offset=_PAGE, shape=shape))


def _make_room(folder: Path, wanted: int) -> None:
    """Delete what was not used for longest, until `wanted` bytes more stay below the limit of the folder."""
    with contextlib.suppress(OSError):  # another process may be doing the same
        files = sorted((entry.stat().st_mtime, entry.stat().st_size, entry.path) for entry in os.scandir(folder))
        excess = sum(size for _, size, _ in files) + wanted - _FOLDER_LIMIT
        for _, size, path in files:
            if excess <= 0:
                return
            os.unlink(path)
            excess -= size
