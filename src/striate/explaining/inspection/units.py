"""Statistics of a layer's units over many images: which are dead, and which are redundant."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from striate.explaining._repr import ShortRepr


@dataclass(frozen=True, eq=False, repr=False)
class Units(ShortRepr):
    """Statistics of each unit (channel) of `place` over all positions of all images of a pass.

    `smallest`, `largest`, `mean` (u): of its activations. `active` (u): the fraction of them above zero. `correlation`
    (u u): between the activations of two units, position by position; 0 where one of them never changes.
    """

    place: str
    smallest: Float[np.ndarray, " u"]
    largest: Float[np.ndarray, " u"]
    mean: Float[np.ndarray, " u"]
    active: Float[np.ndarray, " u"]
    correlation: Float[np.ndarray, "u u"]

    def dead(self) -> tuple[int, ...]:
        """Return the units with the same value everywhere: for a ReLU, 0."""
        return tuple(np.flatnonzero(self.largest == self.smallest).tolist())

    def closed(self) -> tuple[int, ...]:
        """Return the units that were never above zero: dead, if the place is the input of a ReLU."""
        return tuple(np.flatnonzero(self.largest <= 0).tolist())

    def redundant(self, alike: float = 0.95) -> tuple[tuple[int, int, float], ...]:
        """Return pairs of units whose correlation is at least `alike`, with it, the highest first.

        The later of the two adds little to the earlier one, up to a factor and an offset.
        """
        pairs = [
            (int(one), int(other), float(self.correlation[one, other]))
            for one, other in np.argwhere(np.triu(self.correlation, 1) >= alike)
        ]
        return tuple(sorted(pairs, key=lambda pair: -pair[2]))


class Tally:
    """The sums from which `Units` are computed, added batch by batch."""

    def __init__(self, place: str) -> None:
        self._place = place
        self._count = 0

    def add(self, maps: Float[Tensor, "n u h w"]) -> None:
        values = maps.transpose(0, 1).flatten(1).float()  # (u, positions)
        if not self._count:
            # Sums of squares about a first mean, not about zero: no digits are lost to a large common value.
            self._about = values.mean(1, keepdim=True)
            self._smallest, self._largest = values[:, 0].clone(), values[:, 0].clone()
            self._above = torch.zeros(len(values), dtype=torch.int64, device=values.device)
            self._sum = torch.zeros(len(values), dtype=torch.float64, device=values.device)
            self._products = torch.zeros(len(values), len(values), dtype=torch.float64, device=values.device)
        low, high = values.aminmax(dim=1)
        self._smallest, self._largest = self._smallest.minimum(low), self._largest.maximum(high)
        self._above += (values > 0).sum(1)
        self._count += values.shape[1]
        values = values - self._about
        self._sum += values.sum(1)
        self._products += values @ values.T

    def units(self) -> Units:
        mean = self._sum / self._count
        covariance = self._products / self._count - mean.outer(mean)
        spread = covariance.diagonal().clamp(min=0).sqrt()
        spread = torch.where(self._largest > self._smallest, spread, 0)
        scale = spread.outer(spread)
        correlation = torch.where(scale > 0, covariance / scale, 0).clamp(-1, 1)
        found = self._smallest, self._largest, mean + self._about[:, 0], self._above / self._count, correlation
        return Units(self._place, *(values.float().cpu().numpy() for values in found))
