"""The methods that say which pixels an answer rests on, by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from striate.core.errors import ConfigError
from striate.core.registry import Registry

Reduce = Callable[[Float[np.ndarray, "n c h w"]], Float[np.ndarray, "n h w"]]


def strongest(values: Float[np.ndarray, "n c h w"]) -> Float[np.ndarray, "n h w"]:
    """The largest absolute value over the channels (Simonyan et al. 2013, section 3.1)."""
    return np.abs(values).max(axis=1)


def total(values: Float[np.ndarray, "n c h w"]) -> Float[np.ndarray, "n h w"]:
    """The sum over the channels, which keeps the sum over the picture, and so completeness."""
    return values.sum(axis=1)


@dataclass(frozen=True)
class Method:
    """A way of attributing a score to pixels.

    `function(model, images, target=None, **settings)` makes an `Attribution`. `title` and `paper` are for people.
    `signed`: its map tells what speaks against the score from what speaks for it. `places`: it takes `at`, the place in
    the network that it reads. `additive`: its values sum to a difference of scores. `reduce` makes of the values of
    several channels one map. `needs`: what it asks of a network, if not every network will do.
    """

    name: str
    title: str
    paper: str
    function: Callable[..., Any]
    signed: bool
    places: bool
    additive: bool
    reduce: Reduce
    needs: str


METHODS: Registry[Method] = Registry("explanation", ConfigError)
