"""Which class is named first, and whether the true one is among the first k."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Int


def predict(logits: Float[np.ndarray, "n k"]) -> Int[np.ndarray, " n"]:
    """Return the class of the largest logit; of equal ones the first, as torch and numpy do."""
    return logits.argmax(axis=1)


def within_top(logits: Float[np.ndarray, "n k"], targets: Int[np.ndarray, " n"], top: int) -> Bool[np.ndarray, " n"]:
    """Whether each target is among the `top` largest logits.

    Of equal logits the earlier class ranks higher, so that `top=1` is the same as `predict(logits) == targets`, and a
    network that always says the same is not called right.
    """
    own = logits[np.arange(len(targets)), targets][:, None]
    earlier = np.arange(logits.shape[1]) < targets[:, None]
    rank = ((logits > own) | ((logits == own) & earlier)).sum(axis=1)
    return rank < top
