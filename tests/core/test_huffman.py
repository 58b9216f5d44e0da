"""Huffman codes are as short as a code can be, and give back what was coded."""

from __future__ import annotations

import numpy as np
import pytest

from reference import compression as reference
from striate.core.huffman import BLOCK, DamagedCodeError, code_lengths, decode, encode

DRAWS = np.random.default_rng(0)
CASES = {
    "one symbol": np.zeros(5, np.int64),
    "two": np.array([1, 0, 1]),
    "a block": DRAWS.integers(0, 9, BLOCK),
    "more": DRAWS.geometric(0.2, 2 * BLOCK + 7),
    "skewed": np.repeat(np.arange(18), [round(1.5**k) for k in range(18)]),
    "none": np.zeros(0, np.int64),
}


@pytest.mark.parametrize("name", CASES)
def test_symbols_are_read_back_and_the_code_is_as_short_as_it_can_be(name: str) -> None:
    symbols = CASES[name]
    counts = np.bincount(symbols, minlength=20)
    if not len(symbols):
        assert len(decode(np.zeros(0, np.uint8), np.zeros(1, np.uint8), np.zeros(0, np.uint16), 0)) == 0
        return
    lengths = code_lengths(counts)
    assert (counts * lengths).sum() == reference.least_bits(counts.tolist())
    stream, blocks = encode(symbols, lengths)
    np.testing.assert_array_equal(decode(stream, lengths, blocks, len(symbols)), symbols)
    bits = "".join(format(byte, "08b") for byte in stream)
    assert reference.read(bits, reference.canonical(lengths.tolist()), len(symbols)) == symbols.tolist()


def test_a_damaged_code_is_refused() -> None:
    symbols = CASES["more"]
    lengths = code_lengths(np.bincount(symbols))
    stream, blocks = encode(symbols, lengths)
    longer, other = lengths.copy(), blocks.copy()
    longer[1], other[0] = 9, other[0] + 1
    for damaged in (
        (stream[:-1], lengths, blocks, len(symbols)),
        (stream, longer, blocks, len(symbols)),
        (stream, np.zeros_like(lengths), blocks, len(symbols)),
        (stream, np.full(len(lengths), 200, np.uint8), blocks, len(symbols)),
        (stream, lengths, other, len(symbols)),
        (stream, lengths, blocks, 10**15),
    ):
        with pytest.raises(DamagedCodeError):
            decode(*damaged)
