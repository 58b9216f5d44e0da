"""Rules for the gradient of a ReLU other than its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from striate.core.errors import StriateError


class RewriteError(StriateError):
    """A network whose operations cannot be rewritten, or have not been."""


class NoRectifierError(RewriteError):
    """Nothing between the score and the image rectifies; `unruled` are the other non-linear operations there."""

    def __init__(self, message: str, unruled: Mapping[str, int]) -> None:
        super().__init__(message)
        self.unruled = unruled


@dataclass(frozen=True)
class Rule:
    """How the gradient passes backward through a rectifier: a ReLU or a similar activation.

        g ← max(g, 0)                 everywhere
        g ← max(g, 0) · [a > 0]       if `gated`: only where the unit was active

    a is the rectified value. Max-pooling passes g to the position of the maximum, the "switch" (Zeiler and Fergus),
    which is its plain gradient; where windows overlap, the gradients of one position are added. All linear operations
    pass their plain gradient, their own weights transposed: convolutions, batch norm with its stored statistics (times
    γ/σ, so that a negative γ turns the sign: the papers, older than batch norm, have no rule for it), sums (to each
    term the whole of g), concatenation (to each part its slice), average pooling.
    """

    name: str
    gated: bool
    paper: str

    def backward(self, gradient: Float[Tensor, "*#s"], active: Bool[Tensor, "*#s"] | None) -> Float[Tensor, "*#s"]:
        """Return the gradient to pass on; `active` says where a > 0, and only a gated rule needs it."""
        positive = gradient.clamp(min=0)
        return positive if active is None else torch.where(active, positive, 0)


DECONVNET = Rule(
    "deconvnet",
    gated=False,
    paper="Zeiler and Fergus, Visualizing and understanding convolutional networks, ECCV 2014, arXiv:1311.2901, §2.1",
)
GUIDED = Rule(
    "guided",
    gated=True,
    paper="Springenberg et al., Striving for simplicity: the all convolutional net, 2015, arXiv:1412.6806, §3.4",
)
