"""Huffman codes of whole numbers from 0, in canonical form, decoded in blocks side by side.

D. A. Huffman, "A method for the construction of minimum-redundancy codes", Proceedings of the IRE 40(9), 1952. In the
canonical form (E. S. Schwartz and B. Kallick, Communications of the ACM 7(3), 1964) the lengths of the codes determine
the codes, so only lengths are stored.
"""

from __future__ import annotations

import heapq

import numpy as np
from jaxtyping import Int64, UInt8, UInt16

from striate.core.errors import StriateError

BLOCK = 1024
"""Symbols of a block; the lengths of all blocks but the last are stored, so that they can be decoded at once."""
_LONGEST = 56  # bits of a code: a window of 64 bits from a whole byte on holds any


class DamagedCodeError(StriateError):
    """A stream or its code lengths are not what an encoder writes."""


def code_lengths(counts: Int64[np.ndarray, " k"]) -> UInt8[np.ndarray, " k"]:
    """Return the number of bits of the code of each symbol, from how often it occurs; 0 for one that does not."""
    present = np.flatnonzero(counts).tolist()
    lengths = np.zeros(len(counts), np.uint8)
    if len(present) == 1:
        lengths[present] = 1
        return lengths
    heap = [(int(counts[symbol]), symbol, [symbol]) for symbol in present]
    heapq.heapify(heap)
    while len(heap) > 1:
        (first, order, some), (second, _, more) = heapq.heappop(heap), heapq.heappop(heap)
        lengths[some + more] += 1
        heapq.heappush(heap, (first + second, order, some + more))
    return lengths


def encode(
    symbols: Int64[np.ndarray, " n"], lengths: UInt8[np.ndarray, " k"]
) -> tuple[UInt8[np.ndarray, " b"], UInt16[np.ndarray, " m"]]:
    """Return the codes of `symbols` one after another, and the number of bits of each block but the last."""
    order, firsts = _table(lengths)
    codes = np.zeros(len(lengths), np.uint64)
    codes[order] = firsts >> (64 - lengths[order].astype(np.uint64))
    widths = lengths[symbols].astype(np.int64)
    ends = np.cumsum(widths)
    bits = np.zeros(int(ends[-1]) if len(ends) else 0, np.uint8)
    starts, values = ends - widths, codes[symbols]
    for place in range(int(widths.max(initial=0))):
        longer = widths > place
        bits[starts[longer] + place] = values[longer] >> (widths[longer] - 1 - place).astype(np.uint64) & np.uint64(1)
    blocks = np.add.reduceat(widths, np.arange(0, len(widths), BLOCK))[:-1] if len(widths) else widths
    return np.packbits(bits), blocks.astype(np.uint16)


def decode(
    stream: UInt8[np.ndarray, " b"],
    lengths: UInt8[np.ndarray, " k"],
    blocks: UInt16[np.ndarray, " m"],
    count: int,
) -> Int64[np.ndarray, " n"]:
    """Return the `count` symbols of a stream.

    Raises:
        DamagedCodeError: the lengths are not those of a code, or the stream ends elsewhere.
    """
    if -(-count // BLOCK) != len(blocks) + bool(count):
        raise DamagedCodeError(f"{count} symbols are not {len(blocks) + 1} blocks of {BLOCK}")
    if not count:
        return np.zeros(0, np.int64)
    order, firsts = _table(lengths)
    padded = np.concatenate([stream, np.zeros(8, np.uint8)])
    words = np.ndarray(len(stream) + 1, ">u8", padded.tobytes(), strides=(1,))  # the 8 bytes from each byte on
    position = np.concatenate([[0], np.cumsum(blocks, dtype=np.int64)])
    expected = position[1:].copy()
    found = np.empty((min(BLOCK, count), len(position)), np.int64)
    rest = count - BLOCK * len(blocks)  # symbols of the last block
    widths = lengths.astype(np.int64)
    last = position[-1]
    for step in range(len(found)):
        if step == rest:
            last, position = position[-1], position[:-1]
        byte = np.minimum(position >> 3, len(stream))
        window = words[byte].astype(np.uint64) << (position & 7).astype(np.uint64)
        symbols = order[np.searchsorted(firsts, window, side="right") - 1]
        found[step, : len(position)] = symbols
        position = position + widths[symbols]
    ends = np.append(position[: len(blocks)], last if rest < len(found) else position[-1])
    if (ends[:-1] != expected).any() or -(-int(ends[-1]) // 8) != len(stream):
        raise DamagedCodeError("the stream of a code ends elsewhere than its lengths say")
    return found.T.reshape(-1)[: len(blocks) * BLOCK + rest] if blocks.size else found[:rest, 0]


def _table(lengths: UInt8[np.ndarray, " k"]) -> tuple[np.ndarray, np.ndarray]:
    """Return the symbols in the order of their codes, and their codes as the first of 64 bits.

    Raises:
        DamagedCodeError: no code has these lengths.
    """
    order = np.argsort(lengths, kind="stable")
    order = order[lengths[order] > 0]
    widths = lengths[order].astype(np.int64)
    if not len(order) or widths[-1] > _LONGEST:
        raise DamagedCodeError("a code has at least one symbol, and at most 56 bits for each")
    shares = [1 << (_LONGEST - int(width)) for width in widths]
    if sum(shares) != 1 << _LONGEST and not (len(order) == 1 and widths[0] == 1):
        raise DamagedCodeError("the lengths are not those of a code")
    starts = np.cumsum([0, *shares[:-1]], dtype=np.uint64)
    return order, starts << np.uint64(64 - _LONGEST)
