"""A program: convert a torch file on standard input to safetensors, within bounds of memory and time.

It runs by its path in a separate process, and imports nothing of Striate. Arguments: the file to write, bytes of
memory, seconds. On failure, standard output holds one JSON object with the reason.
"""

from __future__ import annotations

import io
import json
import re
import sys
from collections.abc import Mapping
from typing import Any, NoReturn

import torch
from safetensors.torch import save_file

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
        found = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
        values: dict[str, Any] = {}
        _collect(found if isinstance(found, Mapping) else {"tensor": found}, [], values)
        tensors = {place: value for place, value in values.items() if isinstance(value, torch.Tensor)}
        if sum(tensor.numel() * tensor.element_size() for tensor in tensors.values()) > memory:
            raise MemoryError  # views of few numbers may declare any shape
        copies = {place: tensor.detach().clone().contiguous() for place, tensor in tensors.items()}
        other = {place: value for place, value in values.items() if place not in tensors}
        save_file(copies, out, metadata={"order": json.dumps(list(values)), "other": json.dumps(other)})
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


def _collect(value: Any, path: list[Any], values: dict[str, Any]) -> None:
    """Enter tensors, and other values as far as JSON has them, by their paths in nested mappings."""
    place = json.dumps(path)
    if len(values) > _MOST:
        raise ValueError(f"it holds more than {_MOST:,} values")
    if isinstance(value, torch.Tensor) and value.layout == torch.strided and not value.is_quantized:
        values[place] = value
    elif isinstance(value, Mapping) and (value or not path) and len(path) < _DEEPEST:
        for key, inner in value.items():
            _collect(inner, [*path, key if isinstance(key, (str, int)) else str(key)], values)
    else:
        values[place] = value if isinstance(value, (str, int, float, bool)) or value is None else type(value).__name__


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
