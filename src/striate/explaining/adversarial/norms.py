"""Norms of a change, and their balls: projection, steepest step, random start, rounding.

Everything here is in levels of the stored pixels; ε is in pixel units of 0–255.
"""

from __future__ import annotations

import math
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from striate.core.registry import Registry
from striate.core.spec import InputSpec
from striate.explaining.adversarial.pixels import AttackError, levels_per_unit

Change = Float[Tensor, "n c h w"]


@runtime_checkable
class Norm(Protocol):
    """A norm of changes, and its ball of a given radius about the image."""

    def radius(self, epsilon: int | float, spec: InputSpec) -> float:
        """Return ε in levels; raise `AttackError` where there is no such ball."""
        ...

    def size(self, change: Change) -> Float[Tensor, " n"]: ...

    def project(self, change: Change, radius: float) -> Change:
        """Return the nearest change within the ball."""
        ...

    def steepest(self, gradient: Change) -> Change:
        """Return the change of size 1 along which the score rises fastest."""
        ...

    def start(self, shape: torch.Size, radius: float, draw: torch.Generator) -> Float[Tensor, "c h w"]:
        """Return a random change within the ball."""
        ...

    def rounded(self, change: Change) -> Change:
        """Return a change of whole levels near this one, within the same ball."""
        ...


class LInf:
    """The largest change of any value: ‖r‖∞ = max |r|."""

    def radius(self, epsilon: int | float, spec: InputSpec) -> float:
        levels = _positive(epsilon) * levels_per_unit(spec)
        if levels != round(levels):
            raise AttackError(
                f"epsilon must be a whole number of levels, because pixels are whole; received {epsilon:g}, which is "
                f"{levels:g} levels: give a whole number of pixel units (0 to 255)."
            )
        return levels

    def size(self, change: Change) -> Float[Tensor, " n"]:
        return change.flatten(1).abs().amax(1)

    def project(self, change: Change, radius: float) -> Change:
        return change.clamp(-radius, radius)

    def steepest(self, gradient: Change) -> Change:
        return gradient.sign()

    def start(self, shape: torch.Size, radius: float, draw: torch.Generator) -> Float[Tensor, "c h w"]:
        return (2 * torch.rand(shape, generator=draw) - 1) * radius

    def rounded(self, change: Change) -> Change:
        return change.round()  # the radius is whole, so rounding to the nearest does not leave the ball


class L2:
    """The root of the sum of the squares of all changes: ‖r‖₂."""

    def radius(self, epsilon: int | float, spec: InputSpec) -> float:
        return _positive(epsilon) * levels_per_unit(spec)

    def size(self, change: Change) -> Float[Tensor, " n"]:
        return change.flatten(1).double().norm(dim=1).float()

    def project(self, change: Change, radius: float) -> Change:
        size = _broadcast(self.size(change))
        return change * (radius / size.clamp(min=_TINY)).clamp(max=1)

    def steepest(self, gradient: Change) -> Change:
        # First by the largest value, or the squares of small gradients would vanish.
        scaled = gradient / _broadcast(gradient.flatten(1).abs().amax(1)).clamp(min=_TINY)
        return scaled / _broadcast(self.size(scaled)).clamp(min=_TINY)

    def start(self, shape: torch.Size, radius: float, draw: torch.Generator) -> Float[Tensor, "c h w"]:
        direction = torch.randn(shape, generator=draw)
        share = torch.rand((), generator=draw).item() ** (1 / math.prod(shape))
        return direction * (radius * share / direction.norm())

    def rounded(self, change: Change) -> Change:
        """Round to whole levels of no greater length than `change`.

        All values are truncated towards zero. The length that this saves is spent on raising values to the next whole
        number, those first that lost the most. (Rounding to the nearest may leave the ball, and removes all of a faint
        change, however long it is.)
        """
        flat = change.flatten(1).double()
        cut = flat.trunc()
        most_first = (flat - cut).abs().argsort(dim=1, descending=True, stable=True)
        cost = (2 * cut.abs() + 1).masked_fill(flat == cut, torch.inf).gather(1, most_first)  # (k+1)² - k²
        saved = flat.square().sum(1, keepdim=True) - cut.square().sum(1, keepdim=True)
        raised = torch.zeros_like(flat).scatter(1, most_first, (cost.cumsum(1) <= saved).double())
        return (cut + raised * flat.sign()).to(change.dtype).view_as(change)


_TINY = torch.finfo(torch.float32).tiny


def _positive(epsilon: int | float) -> float:
    if not 0 <= epsilon < math.inf:
        raise AttackError(f"epsilon must be a distance in pixel units of 0 to 255, not negative; received {epsilon:g}.")
    return float(epsilon)


def _broadcast(sizes: Float[Tensor, " n"]) -> Float[Tensor, "n 1 1 1"]:
    return sizes[:, None, None, None]


NORMS: Registry[Norm] = Registry("norm", AttackError)
NORMS.add("linf", LInf())
NORMS.add("l2", L2())
