"""A model prepared for many runs with a patch on its image."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from striate.explaining.occluding.incremental.boxes import Boxes
from striate.explaining.occluding.incremental.folding import folded, in_place
from striate.explaining.occluding.incremental.program import Program
from striate.explaining.occluding.incremental.recording import UntraceableError, record
from striate.explaining.occluding.incremental.replay import Clean, replay, saving
from striate.explaining.occluding.patch_grid import Positions

TOLERANCE = 1e-4
"""Largest difference between the clean logits of the model and those of its program, relative to the largest logit.
Rounding of sums in another order stays below it; a larger difference means that the record is incomplete."""


@dataclass(frozen=True, eq=False)
class Incremental:
    """A model as a program with batch norms folded into convolutions; create it within `hooks.borrow`.

    An instruction runs on boxes if a patch changes no value outside of them, else on whole maps; so the logits equal
    those of the whole model up to rounding.
    """

    program: Program

    @classmethod
    def of(cls, model: nn.Module, image: Float[Tensor, "1 c h w"]) -> Incremental:
        """Record `model` on one image.

        Raises:
            UntraceableError: `model` cannot be recorded as a program in float32 (or float64), or the program does not
                compute its logits.
        """
        if image.dtype not in (torch.float32, torch.float64):
            raise UntraceableError("folding batch norms would change the results in half precision")
        made = cls(in_place(folded(record(model, image))))
        with torch.no_grad():
            expected, found = model(image), made.program.logits(image)
        if expected.ndim != 2:
            raise UntraceableError("it does not return one row of logits for each image")
        if not (found - expected).abs().max() <= TOLERANCE * expected.abs().max():
            raise UntraceableError("its recorded operations do not give the same logits")
        return made

    def saved(self, places: Positions) -> float:
        """Return the ratio of multiplications of the whole model to those of the program, over all positions."""
        return saving(self.program, boxes(places))

    def logits(
        self,
        image: Float[Tensor, "1 c h w"],
        cover: Float[Tensor, "1 c h w"],
        places: Positions,
    ) -> Iterator[tuple[slice, Float[Tensor, "m k"]]]:
        """Yield (positions, logits) under the patch at each position, for some positions at a time."""
        with torch.no_grad():
            clean = Clean.of(self.program, image)
        return replay(self.program, clean, cover, boxes(places))


def boxes(places: Positions) -> Boxes:
    """Return the rectangles of the patches, position by position."""
    rows, columns = places.grid
    tops, bottoms = (np.repeat(edge, columns) for edge in (places.tops, places.bottoms))
    lefts, rights = (np.tile(edge, rows) for edge in (places.lefts, places.rights))
    return Boxes(tops, bottoms, lefts, rights)
