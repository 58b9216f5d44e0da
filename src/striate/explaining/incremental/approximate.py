"""Faster and not exact: bf16 where the processor has it, and reach cut where little is left of the change."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from striate.core.device import computes_in_bf16
from striate.explaining.incremental.occluded import Incremental, boxes
from striate.explaining.incremental.program import Operation, Program, mapped
from striate.explaining.incremental.replay import Clean, replay
from striate.explaining.occluders import Positions

GIVEN_UP = 0.03
"""Of all that a patch changes in a map (Σ |new - clean|), the share that is left out before each window."""

_PROBES = 9


@dataclass(frozen=True)
class Approximation:
    """What was measured of an approximate occlusion: at `positions` of the places, spread evenly over the grid and
    computed exactly too, no logit differs by more than `error`.
    """

    error: float
    positions: int


def approximately(
    incremental: Incremental,
    image: Float[Tensor, "1 c h w"],
    cover: Float[Tensor, "1 c h w"],
    places: Positions,
) -> tuple[Float[Tensor, "positions k"], Approximation]:
    """The logits under the patch at each position, nearly, and by how much they are off.

    Before an operation with a window, each box is trimmed on its four sides until `GIVEN_UP` of the change would lie
    outside it; what lies outside counts as unchanged. Boxes so grow with what happens in them instead of with the
    kernels (the threshold that Nakandala et al. 2019 put on a box's size, here put on the change itself). Where the
    processor multiplies in bf16, weights and maps are rounded to it.
    """
    everywhere = boxes(places)
    reduced = computes_in_bf16(image.device.type)
    program = in_bf16(incremental.program) if reduced else incremental.program
    dtype = torch.bfloat16 if reduced else image.dtype
    with torch.no_grad():
        clean = Clean.of(program, image.to(dtype))
    found = _joined(replay(program, clean, cover.to(dtype), everywhere, GIVEN_UP)).to(image.dtype)
    probes = np.unique(np.linspace(0, len(places) - 1, _PROBES).round().astype(np.int64))
    with torch.no_grad():
        exactly = Clean.of(incremental.program, image)
    expected = _joined(replay(incremental.program, exactly, cover, everywhere.at(probes)))
    error = (found[torch.from_numpy(probes).to(found.device)] - expected).abs().max()
    return found, Approximation(float(error), len(probes))


def in_bf16(program: Program) -> Program:
    """`program` with its constants rounded to bf16."""

    def rounded(leaf: object) -> object:
        return leaf.to(torch.bfloat16) if isinstance(leaf, Tensor) and leaf.is_floating_point() else leaf

    def changed(one: Operation) -> Operation:
        return replace(one, args=mapped(one.args, rounded), kwargs=mapped(one.kwargs, rounded))

    return replace(program, operations=tuple(changed(one) for one in program.operations))


def _joined(parts: Iterator[tuple[slice, Tensor]]) -> Tensor:
    return torch.cat([logits for _, logits in parts])
