"""Top-1 predictions and top-k accuracy."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Int


def predict(logits: Float[np.ndarray, "n k"]) -> Int[np.ndarray, " n"]:
    """Return the class of the largest logit; of equal ones the first, as torch and numpy do."""
    return logits.argmax(axis=1)


def within_top(logits: Float[np.ndarray, "n k"], targets: Int[np.ndarray, " n"], top: int) -> Bool[np.ndarray, " n"]:
    """Return whether each target is among the `top` largest logits.

    Of equal logits the earlier class ranks higher, so that `top=1` is the same as `predict(logits) == targets`, and
    constant logits do not make every target a hit. A logit that is not a number ranks before none and after all, so
    that a network that diverged is right about nothing.
    """
    own = logits[np.arange(len(targets)), targets][:, None]
    earlier = np.arange(logits.shape[1]) < targets[:, None]
    rank = (~(logits <= own) | ((logits == own) & earlier)).sum(axis=1)
    return rank < top
