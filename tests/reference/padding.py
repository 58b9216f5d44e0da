"""Convolution and pooling with TensorFlow's "same" padding, one number at a time, for any number of axes.

The rule is applied by its definition: the windows stand at ceil(n / stride) places, and together they hang over both
ends of the input by as much, or by one more over the end.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence

import numpy as np

Index = tuple[int, ...]


def windows(
    size: Sequence[int], kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int]
) -> Iterator[tuple[Index, list[tuple[Index, Index]]]]:
    """Each output place, with the pairs (place in the kernel, place in the input) that lie inside the input."""
    axes = []
    for n, k, s, d in zip(size, kernel, stride, dilation, strict=True):
        starts = [i * s for i in range((n + s - 1) // s)]
        over = starts[-1] + d * (k - 1) + 1 - n
        axes.append([start - max(over, 0) // 2 for start in starts])
    for place in itertools.product(*(range(len(starts)) for starts in axes)):
        inside = []
        for tap in itertools.product(*(range(k) for k in kernel)):
            at = tuple(axes[a][place[a]] + dilation[a] * tap[a] for a in range(len(size)))
            if all(0 <= at[a] < size[a] for a in range(len(size))):
                inside.append((tap, at))
        yield place, inside


def convolve(
    x: np.ndarray, weight: np.ndarray, bias: np.ndarray, stride: Sequence[int], dilation: Sequence[int], groups: int
) -> np.ndarray:
    """x (c, …), weight (k, c / groups, …), bias (k) → (k, …)."""
    out = np.zeros((len(weight), *((n + s - 1) // s for n, s in zip(x.shape[1:], stride, strict=True))))
    each_in, each_out = len(x) // groups, len(weight) // groups
    for place, inside in windows(x.shape[1:], weight.shape[2:], stride, dilation):
        for k in range(len(weight)):
            first = k // each_out * each_in
            out[(k, *place)] = bias[k] + sum(
                x[(first + c, *at)] * weight[(k, c, *tap)] for c in range(each_in) for tap, at in inside
            )
    return out


def pool(
    x: np.ndarray, kernel: Sequence[int], stride: Sequence[int], reduce: Callable[[list[float]], float]
) -> np.ndarray:
    """x (c, h, w): `reduce` is given the numbers of each window that lie inside the map."""
    out = np.zeros((len(x), *((n + s - 1) // s for n, s in zip(x.shape[1:], stride, strict=True))))
    for place, inside in windows(x.shape[1:], kernel, stride, [1] * len(kernel)):
        for c in range(len(x)):
            out[(c, *place)] = reduce([float(x[(c, *at)]) for _, at in inside])
    return out
