"""Similarity to the nearest of known features, which is low for images of none of the classes.

Y. Sun et al., "Out-of-distribution detection with deep nearest neighbors", ICML 2022, arXiv:2204.06507, with k = 1. The
largest logit: S. Vaze et al., "Open-set recognition: a good closed-set classifier is all you need?", ICLR 2022,
arXiv:2110.06207. The sum of both is our own. The largest softmax probability is no such measure: of an unknown image it
is often high.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Float32, Int

_AT_ONCE = 1 << 24  # similarities that are held at once


def normalised(features: Float[np.ndarray, "n d"]) -> Float32[np.ndarray, "n d"]:
    """Return `features` divided by their Euclidean lengths, in float32; zeros stay zeros."""
    lengths = np.linalg.norm(features.astype(np.float64), axis=1, keepdims=True)
    return np.divide(features, lengths, out=np.zeros(features.shape), where=lengths > 0).astype(np.float32)


def standardised(values: Float[np.ndarray, " n"], held_out: Float[np.ndarray, " m"]) -> Float[np.ndarray, " n"]:
    """Return `values` in standard deviations from the mean of `held_out`, in float64; equal ones only centred."""
    known = held_out.astype(np.float64)
    return (values - known.mean()) / (known.std() or 1.0)


def nearest_similarity(
    features: Float[np.ndarray, "n d"],
    known: Float[np.ndarray, "m d"],
    groups: tuple[Int[np.ndarray, " n"], Int[np.ndarray, " m"]] | None = None,
) -> Float32[np.ndarray, " n"]:
    """Return the cosine similarity of each of `features` to the nearest of `known`.

    Both are normalised (`normalised`). With `groups`, one number for each row of both, rows of the same number are not
    compared: with the folds of a cross-validation, the similarities are out of fold. Without anything to compare it is
    -1, the least.
    """
    found = np.full(len(features), -1, np.float32)
    if not len(known):
        return found
    step = max(1, _AT_ONCE // len(known))
    for start in range(0, len(features), step):
        part = slice(start, start + step)
        similarity = features[part].astype(np.float32) @ known.astype(np.float32).T
        if groups is not None:
            similarity[groups[0][part, None] == groups[1][None]] = -1
        found[part] = similarity.max(axis=1)
    return found
