"""What a method found: a value for each pixel, or each position of a map, and how it came about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float

from striate.explaining.attribution.methods import Method
from striate.explaining.checks import Check, check
from striate.explaining.invocation import Call

_SHOWN = 8  # targets that a repr lists


def _some(targets: tuple[int, ...] | None) -> str:
    if targets is None:
        return "a function"
    shown = ", ".join(map(str, targets[:_SHOWN]))
    return f"({shown}, …)" if len(targets) > _SHOWN else f"({shown})"


@dataclass(frozen=True, eq=False)
class Attribution:
    """How much each part of each picture bears on a score.

    `values`: float32, (n h w) or, where each channel of the picture has its own, (n c h w); as fine as the method sees,
    which may be coarser than the picture (see `map`). `target`: the class aimed at for each picture; None if the target
    was a function. `score` (n): what was explained, logits unless the target was a function. `size`: height and width
    of the network's input. `at`: the place in the network that the method read, if it reads one. `settings`: all that
    the call was given. `notes`: sentences about this result that its reader should know. `residue` (n): for an
    additive method, the absolute difference between the sum of the values and the difference of scores that they
    should add up to, as a share of the latter.
    """

    method: Method
    values: Float[np.ndarray, "n h w"] | Float[np.ndarray, "n c h w"]
    target: tuple[int, ...] | None
    score: Float[np.ndarray, " n"]
    size: tuple[int, int]
    at: str | None
    notes: tuple[str, ...]
    residue: Float[np.ndarray, " n"] | None
    call: Call

    def __repr__(self) -> str:
        place = f", at={self.at!r}" if self.at else ""
        return f"Attribution({self.method.name}, values {self.values.shape}, target={_some(self.target)}{place})"

    @property
    def settings(self) -> Mapping[str, Any]:
        return self.call.settings

    def reduced(self) -> Float[np.ndarray, "n h w"]:
        """One value for each position, at the resolution of the method."""
        return self.method.reduce(self.values) if self.values.ndim == 4 else self.values

    def map(self) -> Float[np.ndarray, "n h w"]:
        """One value for each pixel of the network's input: coarse values are interpolated between their centres."""
        reduced = self.reduced()
        if reduced.shape[1:] == self.size:
            return reduced
        enlarged = F.interpolate(torch.from_numpy(reduced)[:, None], self.size, mode="bilinear", align_corners=False)
        return enlarged[:, 0].numpy()

    def check(self, budget: str = "30s") -> Check:
        """Whether this map has to do with the network: it is made again with noise for weights, and put to use.

        The call is made again on copies of the network whose weights are noise, all of them and from the top down; the
        pixels that the map calls important are taken out of the picture and put in. Each number stands beside what
        chance gives; printed, the check is one line. What does not fit into `budget` ("30s", "2min") is named in it.

        Raises:
            CallError: the network is gone, or its weights are not those of the call.
            ConfigError: the budget is no length of time.
        """
        return check(self, budget)
