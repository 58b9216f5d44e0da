"""The gradient of an objective with respect to what makes the picture, as far as there is one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from striate.explaining.visualize.model_view import Eye, ObjectiveError
from striate.explaining.visualize.objective import Objective
from striate.hooks import RewriteError, Rule, rewrite

Score = Float[Tensor, " n"]


class _Through(Rule):
    """The gradient passes as if nothing had been rectified."""

    def backward(self, gradient: Tensor, active: Tensor | None) -> Tensor:
        return gradient


_THROUGH = _Through("pass-through", gated=False, paper="none")


@dataclass(frozen=True)
class Ascent:
    """An objective, and the network that is to be excited."""

    eye: Eye
    objective: Objective

    def score(self, pictures: Float[Tensor, "n c h w"]) -> Score:
        """The objective of pictures from 0 to 1."""
        return self.objective(self.eye(pictures))

    def gradient(self, values: Tensor, seen: Callable[[], Float[Tensor, "n c h w"]]) -> tuple[Score, Tensor]:
        """The objective of the pictures that `seen` makes of `values`, and its gradient with respect to `values`.

        Where a picture's gradient is zero, all ReLUs between it and the objective are closed, as they may be at the
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
        (gradient,) = torch.autograd.grad(score.sum(), given, materialize_grads=True)
        return score.detach(), gradient

    def _through(self, pictures: Tensor) -> Tensor:
        try:
            with rewrite(self.eye.model, _THROUGH):
                _, gradient = self._differentiated(pictures)
        except RewriteError as error:
            raise ObjectiveError(f"The gradient of {self.objective} is zero. {error}") from error
        if not gradient.any():
            raise ObjectiveError(
                f"The gradient of {self.objective} is zero even past closed ReLUs: it does not depend on the picture."
            )
        return gradient
