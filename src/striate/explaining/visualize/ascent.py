"""The gradient of an objective, in a borrowed network, as far as there is one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from striate.explaining.visualize.objective import Look, Objective, ObjectiveError
from striate.explaining.visualize.palette import Palette
from striate.hooks import Captured, RewriteError, Rule, borrow, capture, rewrite

Score = Float[Tensor, " n"]


class _Through(Rule):
    """The gradient passes as if nothing had been rectified."""

    def backward(self, gradient: Tensor, active: Tensor | None) -> Tensor:
        return gradient


_THROUGH = _Through("pass-through", gated=False, paper="Olah et al. 2017, in its program")


@dataclass(frozen=True)
class Ascent:
    """A network that is looked into while pictures are made for it. Made by `ascending`."""

    model: nn.Module
    objective: Objective
    palette: Palette
    captured: Captured
    like: Tensor

    def score(self, pictures: Float[Tensor, "n c h w"]) -> Score:
        """The objective of pictures from 0 to 1."""
        answer = self.model(self.palette.scaled(pictures).to(self.like.dtype))
        return self.objective(Look(self.captured, answer))

    def gradient(self, values: Tensor, seen: Callable[[], Float[Tensor, "n c h w"]]) -> tuple[Score, Tensor]:
        """The objective of the pictures that `seen` makes of `values`, and its gradient with respect to `values`.

        Where a picture's gradient is zero, all ReLUs between it and the objective are closed, as they often are at the
        start, when the picture is almost nothing. For that picture and step the gradient is passed through them as if
        they were open: that need not raise the objective at once, but it leads out.

        Raises:
            ObjectiveError: even so the gradient is zero: the objective does not depend on the picture.
        """
        pictures = seen()
        score, gradient = self._differentiated(pictures)
        dead = gradient.flatten(1).abs().amax(1) == 0
        if dead.any():
            gradient = torch.where(dead[:, None, None, None], self._through(pictures), gradient)
        (found,) = torch.autograd.grad(pictures, values, gradient)
        return score, found

    def _differentiated(self, pictures: Tensor) -> tuple[Score, Tensor]:
        given = pictures.detach().requires_grad_()
        score = self.score(given)
        (gradient,) = torch.autograd.grad(score.sum(), given, materialize_grads=True, allow_unused=True)
        return score.detach(), gradient

    def _through(self, pictures: Tensor) -> Tensor:
        try:
            with rewrite(self.model, _THROUGH):
                _, gradient = self._differentiated(pictures)
        except RewriteError as error:
            raise ObjectiveError(f"The gradient of {self.objective} is zero. {error}") from error
        if not gradient.any():
            raise ObjectiveError(
                f"The gradient of {self.objective} is zero even past closed ReLUs: it does not depend on the picture."
            )
        return gradient


@contextmanager
def ascending(model: nn.Module, objective: Objective, palette: Palette) -> Iterator[Ascent]:
    """Within the block `model` is borrowed, and looked into at the objective's places."""
    weights = next((weight for weight in model.parameters() if weight.is_floating_point()), torch.zeros(1))
    with borrow(model), capture(model, objective.places) as captured:
        yield Ascent(model, objective, palette, captured, weights)


def blank(like: Tensor) -> Tensor:
    """Nothing, on the device of `like`, in the numbers in which a picture for it is held: at least float32."""
    kind = torch.float64 if like.dtype == torch.float64 else torch.float32
    return torch.empty(0, device=like.device, dtype=kind)
