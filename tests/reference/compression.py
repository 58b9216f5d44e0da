"""Slow forms of Huffman's codes and of k-means."""

from __future__ import annotations

import numpy as np


def least_bits(counts: list[int]) -> int:
    """Bits of all symbols in a code of least redundancy: the weights of the inner nodes of Huffman's tree, summed."""
    weights = [count for count in counts if count]
    if len(weights) == 1:
        return weights[0]
    total = 0
    while len(weights) > 1:
        weights.sort()
        total += weights[0] + weights[1]
        weights = [weights[0] + weights[1], *weights[2:]]
    return total


def canonical(lengths: list[int]) -> dict[str, int]:
    """Codes of these lengths, as strings of 0 and 1, with their symbols."""
    codes, code, before = {}, 0, 0
    for length, symbol in sorted((length, symbol) for symbol, length in enumerate(lengths) if length):
        code <<= length - before
        codes[format(code, f"0{length}b")] = symbol
        code, before = code + 1, length
    return codes


def read(bits: str, codes: dict[str, int], count: int) -> list[int]:
    """Read symbols bit by bit."""
    found, word = [], ""
    for bit in bits:
        word += bit
        if word in codes and len(found) < count:
            found.append(codes[word])
            word = ""
    return found


def k_means(values: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Lloyd's algorithm from evenly spaced means, every value compared with every mean; the lower one wins a tie."""
    means = np.linspace(values.min(), values.max(), count)
    while True:
        nearest = np.array([np.argmin(np.abs(means - value)) for value in values])
        moved = np.array([values[nearest == k].mean() if (nearest == k).any() else means[k] for k in range(count)])
        if np.allclose(moved, means, rtol=0, atol=1e-15):
            return means, nearest
        means = moved
