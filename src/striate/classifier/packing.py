"""Weights with few distinct values in the form of Deep Compression: positions and numbers of values, in Huffman codes.

S. Han, H. Mao and W. J. Dally, "Deep Compression: compressing deep neural networks with pruning, trained quantization
and Huffman coding", ICLR 2016, arXiv:1510.00149, sections 2 to 4. Of a tensor, the values other than zero are stored in
a codebook; for each entry that is not zero, the distance to the one before and the number of its value follow. A
distance that does not fit is divided by entries of value zero. Both sequences are coded by Huffman codes of their own.

The file is one of safetensors. A packed tensor is a tensor of bytes; its sizes are in the metadata. What is read is
equal to the bit to what was written.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Int64, UInt8
from safetensors.torch import load, save
from torch import Tensor

from striate.core.huffman import BLOCK, DamagedCodeError, code_lengths, decode, encode

MOST = 256
"""Values other than zero that a packed tensor has at most."""
_DISTANCE_BITS = {4: 8}  # by the number of axes, as in the paper: convolutions
_OTHER_BITS = 5
_LARGEST = 1 << 28  # entries of a tensor
_KEY = "packed"


@dataclass(frozen=True, kw_only=True)
class Packed:
    """The sizes of a packed tensor.

    `shape`; the number of `values` other than zero, of `distances` that occur, of `entries` that are stored (with those
    of value zero in between), and of bytes of the two `streams`.
    """

    shape: tuple[int, ...]
    values: int
    distances: int
    entries: int
    streams: tuple[int, int]

    @property
    def uncoded_bits(self) -> int:
        """The bits of the tensor without Huffman codes: numbers and distances of fixed size, and the codebook."""
        value = max(1, math.ceil(math.log2(self.values + 1)))
        return self.entries * (value + distance_bits(len(self.shape))) + 32 * self.values


def distance_bits(axes: int) -> int:
    """Return the bits of a distance between entries of a tensor with so many axes."""
    return _DISTANCE_BITS.get(axes, _OTHER_BITS)


def entries_between(flat: Tensor, axes: int) -> int:
    """Return how many entries a tensor, flattened, is stored with: those that are not zero, and those in between."""
    places = np.flatnonzero(flat.numpy())
    return len(places) + int(((np.diff(places, prepend=-1) - 1) >> distance_bits(axes)).sum())


def pack(tensors: Mapping[str, Tensor]) -> tuple[bytes, dict[str, Packed]]:
    """Return a file of `tensors`, and the sizes of those that are packed: matrices and kernels with few values."""
    stored: dict[str, Tensor] = {}
    sizes: dict[str, Packed] = {}
    for name, tensor in tensors.items():
        found = _pack(tensor) if tensor.dtype == torch.float32 and tensor.ndim > 1 else None
        if found is None:
            stored[name] = tensor
        else:
            sizes[name], data = found
            stored[name] = torch.from_numpy(data)
    return save(stored, metadata={_KEY: json.dumps({name: asdict(each) for name, each in sizes.items()})}), sizes


def unpack(data: bytes) -> dict[str, Tensor]:
    """Return the tensors of a file, which may have none that is packed.

    Raises:
        ValueError: it is damaged.
    """
    tensors = load(data)
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])  # as safetensors begin, just checked by load
    try:
        for name, each in json.loads(header.get("__metadata__", {}).get(_KEY, "{}")).items():
            tensors[name] = _unpack(_read_sizes(each), tensors[name].numpy())
    except (DamagedCodeError, KeyError, TypeError, IndexError, AttributeError, RecursionError) as error:
        raise ValueError(f"a packed tensor is damaged: {error}") from error
    return tensors


def _read_sizes(stored: Any) -> Packed:
    shape, streams = tuple(stored["shape"]), tuple(stored["streams"])
    counts = {name: stored[name] for name in ("values", "distances", "entries")}
    numbers = [*shape, *streams, *counts.values()]
    if not all(type(number) is int and number >= 0 for number in numbers) or len(streams) != 2:
        raise ValueError("the sizes of a packed tensor are whole numbers")
    if math.prod(shape) > _LARGEST or counts["values"] > MOST or counts["distances"] > 256:
        raise ValueError(f"a packed tensor states {'×'.join(map(str, shape))} entries of {counts['values']} values")
    return Packed(shape=shape, streams=streams, **counts)


def _pack(tensor: Tensor) -> tuple[Packed, UInt8[np.ndarray, " b"]] | None:
    """Return the sizes and the bytes of a tensor; None if it has too many values, or none but zero."""
    flat = tensor.detach().cpu().contiguous().reshape(-1).numpy()
    bits = flat.view(np.int32)  # so that -0 is not 0, and nothing is rounded
    places = np.flatnonzero(bits)
    codebook, numbers = np.unique(bits[places], return_inverse=True)
    if not 0 < len(codebook) <= MOST:
        return None
    width = distance_bits(tensor.ndim)
    steps = np.diff(places, prepend=-1) - 1
    ends = np.cumsum((steps >> width) + 1) - 1
    distances = np.full(int(ends[-1]) + 1, (1 << width) - 1, np.int64)
    values = np.zeros(len(distances), np.int64)  # 0 is the value zero
    distances[ends], values[ends] = steps & ((1 << width) - 1), numbers + 1
    parts: list[np.ndarray] = [codebook.astype("<i4").view(np.uint8)]
    streams = []
    for symbols, kinds in ((values, len(codebook) + 1), (distances, int(distances.max()) + 1)):
        lengths = code_lengths(np.bincount(symbols, minlength=kinds))
        stream, blocks = encode(symbols, lengths)
        parts += [lengths, blocks.astype("<u2").view(np.uint8), stream]
        streams.append(len(stream))
    sizes = Packed(
        shape=tuple(tensor.shape),
        values=len(codebook),
        distances=int(distances.max()) + 1,
        entries=len(values),
        streams=(streams[0], streams[1]),
    )
    return sizes, np.concatenate(parts)


def _unpack(sizes: Packed, data: UInt8[np.ndarray, " b"]) -> Tensor:
    start = 0

    def take(count: int, dtype: str = "u1") -> np.ndarray:
        nonlocal start
        size = count * np.dtype(dtype).itemsize
        part = data[start : start + size]
        if part.dtype != np.uint8 or len(part) != size:
            raise ValueError("a packed tensor ends early")
        start += size
        return np.frombuffer(part.tobytes(), dtype)

    codebook = np.concatenate([[0], take(sizes.values, "<i4")]).astype(np.int32)
    blocks = max(0, -(-sizes.entries // BLOCK) - 1)
    columns: list[Int64[np.ndarray, " n"]] = []
    for kinds, size in zip((sizes.values + 1, sizes.distances), sizes.streams, strict=True):
        lengths, ends = take(kinds), take(blocks, "<u2")
        columns.append(decode(take(size), lengths, ends, sizes.entries))
    values, distances = columns
    places = np.cumsum(distances + 1) - 1
    if start != len(data) or places[-1] >= math.prod(sizes.shape):
        raise ValueError("a packed tensor has more entries than its shape")
    flat = np.zeros(math.prod(sizes.shape), np.int32)
    flat[places] = codebook[values]
    return torch.from_numpy(flat.view(np.float32).reshape(sizes.shape))
