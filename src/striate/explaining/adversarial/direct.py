"""The direct encoding: a genome that is the picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from striate.core.spec import InputSpec

_RATE, _HALVED_EVERY = 0.1, 1000
_STRENGTH = 15

Shares = Float64[np.ndarray, "h w c"]


@dataclass(frozen=True)
class Direct:
    """Every value of the picture is a gene, in shares of full intensity.

    The first pictures are uniform noise. A gene mutates with probability 0.1, which is halved every 1,000 generations,
    by Deb's polynomial mutation of strength 15: most changes are small, none is longer than the range. As in Nguyen et
    al. 2015, section "Generating images with evolution".
    """

    name = "direct"

    def first(self, spec: InputSpec, draw: np.random.Generator) -> Shares:
        channels, height, width = spec.shape
        return draw.random((height, width, channels))

    def mutated(self, genome: Shares, draw: np.random.Generator, generation: int) -> Shares:
        chosen = draw.random(genome.shape) < _RATE * 0.5 ** (generation // _HALVED_EVERY)
        return np.clip(genome + np.where(chosen, polynomial(draw.random(genome.shape)), 0), 0, 1)

    def shares(self, genome: Shares, spec: InputSpec) -> Shares:
        return genome


def polynomial(uniform: np.ndarray) -> np.ndarray:
    """Deb's polynomial mutation, from numbers uniform in [0, 1) to changes in (-1, 1): with η = 15,

    (2u)^(1/(η+1)) - 1  for u < ½,   else  1 - (2 (1-u))^(1/(η+1))
    """
    power = 1 / (_STRENGTH + 1)
    return np.where(uniform < 0.5, (2 * uniform) ** power - 1, 1 - (2 * (1 - uniform)) ** power)
