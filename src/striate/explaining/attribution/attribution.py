"""Attributions: a value for each pixel, or each position of a map, and the methods that compute them, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float

from striate.core.errors import ConfigError
from striate.core.registry import Registry
from striate.explaining.checks import Check, check
from striate.explaining.invocation import Invocation

Reduce = Callable[[Float[np.ndarray, "n c h w"]], Float[np.ndarray, "n h w"]]


def strongest(values: Float[np.ndarray, "n c h w"]) -> Float[np.ndarray, "n h w"]:
    """Return the largest absolute value over the channels (Simonyan et al. 2013, section 3.1)."""
    return np.abs(values).max(axis=1)


def total(values: Float[np.ndarray, "n c h w"]) -> Float[np.ndarray, "n h w"]:
    """Return the sum over the channels, which keeps the sum over the image, and so completeness."""
    return values.sum(axis=1)


@dataclass(frozen=True)
class Method:
    """A method that attributes a score to pixels.

    `function(model, images, target=None, **settings)` returns an `Attribution`. `title` and `paper` are for people.
    `signed`: its map distinguishes evidence against the score from evidence for it. `places`: it takes `at`, the place
    in the network that it reads. `additive`: its values sum to a difference of scores. `reduce` combines the values of
    several channels into one map. `needs`: what it requires of a network, if not every network will do.
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


_SHOWN = 8  # targets that a repr lists


def _some(targets: tuple[int, ...] | None) -> str:
    if targets is None:
        return "a function"
    shown = ", ".join(map(str, targets[:_SHOWN]))
    return f"({shown}, …)" if len(targets) > _SHOWN else f"({shown})"


@dataclass(frozen=True, eq=False)
class Attribution:
    """How much each part of each image contributes to a score.

    `values`: float32, (n h w) or, where each channel of the image has its own, (n c h w); at the resolution of the
    method, which may be coarser than the image (see `map`). `target`: the class explained for each image; None if the
    target was a function. `score` (n): the explained scores, logits unless the target was a function. `size`: height
    and width of the network's input. `at`: the place in the network that the method read, if it reads one. `settings`:
    all settings of the call. `notes`: remarks on this result. `residue` (n): for an additive method, the absolute
    difference between the sum of the values and the difference of scores that they should add up to, as a fraction of
    the latter.
    """

    method: Method
    values: Float[np.ndarray, "n h w"] | Float[np.ndarray, "n c h w"]
    target: tuple[int, ...] | None
    score: Float[np.ndarray, " n"]
    size: tuple[int, int]
    at: str | None
    notes: tuple[str, ...]
    residue: Float[np.ndarray, " n"] | None
    invocation: Invocation

    def __repr__(self) -> str:
        place = f", at={self.at!r}" if self.at else ""
        return f"Attribution({self.method.name}, values {self.values.shape}, target={_some(self.target)}{place})"

    @property
    def settings(self) -> Mapping[str, Any]:
        return self.invocation.settings

    def reduced(self) -> Float[np.ndarray, "n h w"]:
        """Return one value for each position, at the resolution of the method."""
        return self.method.reduce(self.values) if self.values.ndim == 4 else self.values

    def map(self) -> Float[np.ndarray, "n h w"]:
        """Return one value for each pixel of the network's input, interpolating coarse values between their centres."""
        reduced = self.reduced()
        if reduced.shape[1:] == self.size:
            return reduced
        enlarged = F.interpolate(torch.from_numpy(reduced)[:, None], self.size, mode="bilinear", align_corners=False)
        return enlarged[:, 0].numpy()

    def check(self, budget: str = "30s") -> Check:
        """Check that the map depends on the network: repeat it with random weights, and remove pixels that it marks.

        The call is repeated on copies of the network whose weights are random, all of them and from the top down; the
        pixels that the map marks are removed from the image and inserted into it. Each number is reported with what
        chance gives; printed, the check is one line. Steps that do not fit into `budget` ("30s", "2min") are listed in
        it.

        Raises:
            InvocationError: the network is gone, or its weights are not those of the call.
            ConfigError: the budget is not a length of time.
        """
        target = self.invocation.target if self.target is None else list(self.target)
        invocation = replace(self.invocation, target=target)  # a random network must not choose a class of its own
        return check(invocation, self.map(), method=self.method.name, residue=self.residue, budget=budget)
