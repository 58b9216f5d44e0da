"""A program: convert a torch file on standard input to safetensors, within bounds of memory and time.

It runs by its path in a separate process, and imports nothing of Striate. Arguments: the file to write, bytes of
memory, seconds. On failure, standard output holds one JSON object with the reason.

Files of nothing but plain tensors, as nearly all are, are read here without torch, whose import takes ten times as long
as the rest. All others are left to `torch.load` with `weights_only=True`.
"""

from __future__ import annotations

import io
import json
import pickle
import re
import sys
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
from safetensors.numpy import save_file

_TYPES = {
    "DoubleStorage": "<f8",
    "FloatStorage": "<f4",
    "HalfStorage": "<f2",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ShortStorage": "<i2",
    "CharStorage": "i1",
    "ByteStorage": "u1",
    "BoolStorage": "?",
}
_MAGIC, _VERSION = 0x1950A86A20F9469CFC6C, 1001  # torch.serialization, before version 1.6 of torch
_JSON = (str, int, float, bool)
_DEEPEST = 8
_MOST = 100_000  # tensors and other values


def main(out: str, memory: int, seconds: int) -> None:
    """Convert standard input to the file `out`."""
    data = sys.stdin.buffer.read()
    bound(memory, seconds)
    convert(data, out, memory)


def convert(data: bytes, out: str, memory: int) -> None:
    """Convert the bytes of a torch file to the file `out`."""
    try:
        if not _convert_plain(data, out, memory):
            _convert_others(data, out, memory)
    except MemoryError:
        _fail(memory=True)
    except Exception as error:
        text = str(error)
        named = re.search(r"(?:GLOBAL|REDUCE|class|type) ([\w]+(?:\.[\w]+)+)", text)
        if "Weights only load failed" in text and named:
            _fail(object=named[1])
        if "can't allocate memory" in text or "not enough memory" in text:
            _fail(memory=True)
        _fail(error=text.partition("\n")[0])


def _convert_others(data: bytes, out: str, memory: int) -> None:
    """Convert what torch reads without executing anything."""
    import torch
    from safetensors.torch import save_file

    found = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    values: dict[str, Any] = {}
    _collect(found, lambda one: isinstance(one, torch.Tensor) and _is_dense(one, torch), values)
    tensors = {place: value for place, value in values.items() if isinstance(value, torch.Tensor)}
    if sum(tensor.numel() * tensor.element_size() for tensor in tensors.values()) > memory:
        raise MemoryError  # views of few numbers may declare any shape
    save_file(
        {place: tensor.detach().clone().contiguous() for place, tensor in tensors.items()}, out, _metadata(values)
    )


def _is_dense(tensor: Any, torch: Any) -> bool:
    return tensor.layout == torch.strided and not tensor.is_quantized


def _metadata(values: Mapping[str, Any]) -> dict[str, str]:
    other = {place: value for place, value in values.items() if value is None or isinstance(value, _JSON)}
    return {"order": json.dumps(list(values)), "other": json.dumps(other)}


class _UnknownError(Exception):
    """A file that holds more than plain tensors."""


@dataclass(frozen=True)
class _Storage:
    key: str
    type: str
    count: int


@dataclass(frozen=True)
class _View:
    """A tensor before its storage is read."""

    storage: _Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]

    def of(self, numbers: np.ndarray) -> np.ndarray:
        """Return the array, which shares memory with `numbers`."""
        given = (self.offset, *self.size, *self.stride)
        if len(self.size) != len(self.stride) or not all(type(one) is int and one >= 0 for one in given):
            raise _UnknownError
        last = sum((size - 1) * stride for size, stride in zip(self.size, self.stride, strict=True))
        if 0 in self.size:
            return np.empty(self.size, numbers.dtype)
        if self.offset + last >= len(numbers):
            raise _UnknownError
        stride = tuple(one * numbers.itemsize for one in self.stride)
        return np.lib.stride_tricks.as_strided(numbers[self.offset :], self.size, stride, writeable=False)


def _tensor(storage: _Storage, offset: int, size: Any, stride: Any, gradient: bool, hooks: Any, *more: Any) -> _View:
    """Stand for `torch._utils._rebuild_tensor_v2`."""
    if not isinstance(storage, _Storage):
        raise _UnknownError
    return _View(storage, offset, tuple(size), tuple(stride))


def _parameter(data: _View, gradient: bool, hooks: Any) -> _View:
    """Stand for `torch._utils._rebuild_parameter`."""
    return data


_CALLED = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch._utils", "_rebuild_parameter"): _parameter,
}


class _Plain(pickle.Unpickler):
    """Unpickle mappings, numbers, strings and tensors. It calls nothing but `_CALLED`."""

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file)
        self.storages: dict[str, _Storage] = {}

    def find_class(self, module: str, name: str) -> Any:
        if module == "torch" and name in _TYPES:
            return _TYPES[name]
        if (module, name) not in _CALLED:
            raise _UnknownError
        return _CALLED[module, name]

    def persistent_load(self, pid: Any) -> _Storage:
        kind, number_type, key, _, count, *view = pid
        if kind != "storage" or view not in ([], [None]) or number_type not in _TYPES.values():
            raise _UnknownError
        self.storages[key] = _Storage(key, number_type, count)
        return self.storages[key]


def _convert_plain(data: bytes, out: str, memory: int) -> bool:
    """Convert a file of plain tensors, and return whether it is one."""
    try:
        found, storage = _of_zip(data) if data.startswith(b"PK") else _of_pickles(data)
        values: dict[str, Any] = {}
        _collect(found, lambda one: isinstance(one, _View), values)
        arrays: dict[_Storage, np.ndarray] = {}
        tensors: dict[str, np.ndarray] = {}
        for place, view in values.items():
            if isinstance(view, _View):
                if view.storage not in arrays:
                    arrays[view.storage] = np.frombuffer(storage(view.storage), view.storage.type)
                tensors[place] = view.of(arrays[view.storage])
        if sum(tensor.nbytes for tensor in tensors.values()) > memory:
            raise MemoryError
        copies = {place: np.array(tensor, order="C") for place, tensor in tensors.items()}
    except MemoryError:
        raise
    except Exception:  # torch reads it, or finds the words for what is wrong
        return False
    save_file(copies, out, _metadata(values))
    return True


def _of_zip(data: bytes) -> tuple[Any, Callable[[_Storage], bytes]]:
    """Return the objects of a file since version 1.6 of torch, and the function that reads a storage."""
    archive = zipfile.ZipFile(io.BytesIO(data))
    (pickled,) = (name for name in archive.namelist() if name.rpartition("/")[2] == "data.pkl")
    folder = pickled.removesuffix("data.pkl")
    if f"{folder}byteorder" in archive.namelist() and archive.read(f"{folder}byteorder") != b"little":
        raise _UnknownError
    return _Plain(io.BytesIO(archive.read(pickled))).load(), lambda one: archive.read(f"{folder}data/{one.key}")


def _of_pickles(data: bytes) -> tuple[Any, Callable[[_Storage], bytes]]:
    """Return the objects of an older file, and the function that reads a storage."""
    stream = io.BytesIO(data)
    magic, version, system = (_Plain(stream).load() for _ in range(3))
    if (magic, version, system["little_endian"]) != (_MAGIC, _VERSION, True):
        raise _UnknownError
    objects = _Plain(stream)
    found, keys = objects.load(), _Plain(stream).load()
    parts: dict[str, bytes] = {}
    for key in keys:  # after each number of elements, these
        storage = objects.storages[key]
        size = storage.count * np.dtype(storage.type).itemsize
        if int.from_bytes(stream.read(8), "little") != storage.count or len(part := stream.read(size)) != size:
            raise _UnknownError
        parts[key] = part
    return found, lambda one: parts[one.key]


def _collect(found: Any, is_tensor: Callable[[Any], bool], values: dict[str, Any]) -> None:
    """Enter tensors, and other values as far as JSON has them, by their paths in nested mappings."""

    def enter(value: Any, path: list[Any]) -> None:
        place = json.dumps(path)
        if len(values) > _MOST:
            raise ValueError(f"it holds more than {_MOST:,} values")
        if is_tensor(value):
            values[place] = value
        elif isinstance(value, Mapping) and (value or not path) and len(path) < _DEEPEST:
            for key, inner in value.items():
                enter(inner, [*path, key if isinstance(key, (str, int)) else str(key)])
        else:
            values[place] = value if value is None or isinstance(value, _JSON) else type(value).__name__

    enter(found if isinstance(found, Mapping) else {"tensor": found}, [])


def bound(memory: int, seconds: int) -> None:
    """Limit the additional memory and the time of this process. (Windows has no such limits.)"""
    try:
        import resource
    except ImportError:
        return
    try:
        with open("/proc/self/statm") as file:
            taken = int(file.read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (taken + memory, taken + memory))
    except (OSError, ValueError):
        pass  # macOS has no such file and does not enforce the limit
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    resource.setrlimit(resource.RLIMIT_FSIZE, (memory, memory))


def _fail(**reason: Any) -> NoReturn:
    print(json.dumps(reason))
    sys.exit(1)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
