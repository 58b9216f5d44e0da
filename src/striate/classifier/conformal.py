"""Split conformal prediction: sets of classes that hold the true one with a stated probability.

V. Vovk, A. Gammerman and G. Shafer, "Algorithmic Learning in a Random World", 2005; A. Angelopoulos and S. Bates, "A
gentle introduction to conformal prediction", arXiv:2107.07511. The guarantee is over images like the held-out ones.
"""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float

from striate.core.errors import ConfigError


def conformal_threshold(scores: Float[np.ndarray, " n"], coverage: float) -> float:
    """Return the ⌈(n + 1) · coverage⌉-th smallest of the held-out `scores`.

    The set of all classes with a score 1 - p up to it holds the true class with a probability of at least `coverage`.
    It may be empty.

    Raises:
        ConfigError: the coverage is not between 0 and 1, or there are too few scores for it.
    """
    if not 0 < coverage < 1:
        raise ConfigError(f"A coverage is between 0 and 1, as in 0.95; received {coverage:g}.")
    rank = math.ceil((len(scores) + 1) * coverage)
    if rank > len(scores):
        needed = math.ceil(coverage / (1 - coverage) - 1e-9)
        raise ConfigError(
            f"A coverage of {coverage:g} needs at least {needed:,} held-out images; this classifier has "
            f"{len(scores):,}. Choose a lower coverage, or train on more images."
        )
    return float(np.sort(scores)[rank - 1])


def p_values(similarity: Float[np.ndarray, " n"], held_out: Float[np.ndarray, " m"]) -> Float[np.ndarray, " n"]:
    """Return the conformal p-value of each similarity among those of `held_out` images, which are of the classes.

    It is (1 + the number of held-out images that are at most as similar) / (m + 1): of images of the classes, a
    fraction of at most α has a p-value of at most α.
    """
    return (1 + np.searchsorted(np.sort(held_out), similarity, side="right")) / (len(held_out) + 1)
