"""The gradient of an objective with respect to the parameters of an image."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from striate.explaining.visualize.model_view import ModelView, ObjectiveError
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
    """An objective, and the view of the network that it excites."""

    view: ModelView
    objective: Objective

    def score(self, images: Float[Tensor, "n c h w"]) -> Score:
        """Return the objective of images from 0 to 1."""
        return self.objective(self.view(images))

    def gradient(self, values: Tensor, seen: Callable[[], Float[Tensor, "n c h w"]]) -> tuple[Score, Tensor]:
        """Return the objective of the images that `seen` makes of `values`, and its gradient for `values`.

        Where an image's gradient is zero, all ReLUs between it and the objective are closed, as can happen at the
        start, when the image is almost nothing. For that image and step the gradient passes through them as if they
        were open: that need not raise the objective at once, but it opens them in time.

        Raises:
            ObjectiveError: even so the gradient is zero: the objective does not depend on the image.
        """
        images = seen()
        score, gradient = self._differentiated(images)
        dead = gradient.flatten(1).abs().amax(1) == 0
        if dead.any():
            gradient = torch.where(dead[:, None, None, None], self._through(images), gradient)
        (found,) = torch.autograd.grad((images * gradient).sum(), values)
        return score, found

    def _differentiated(self, images: Tensor) -> tuple[Score, Tensor]:
        given = images.detach().requires_grad_()
        score = self.score(given)
        if not score.isfinite().all():
            raise ObjectiveError(f"{self.objective} is infinite or undefined for an image.")
        if not score.requires_grad:
            raise ObjectiveError(
                f"No gradient of {self.objective} reaches the image: the network detaches what it computes, or runs a "
                "part under torch.no_grad or inference_mode."
            )
        (gradient,) = torch.autograd.grad(score.sum(), given, materialize_grads=True)
        return score.detach(), gradient

    def _through(self, images: Tensor) -> Tensor:
        try:
            with rewrite(self.view.model, _THROUGH):
                _, gradient = self._differentiated(images)
        except RewriteError as error:
            raise ObjectiveError(f"The gradient of {self.objective} is zero. {error}") from error
        if not gradient.any():
            raise ObjectiveError(
                f"The gradient of {self.objective} is zero even past closed ReLUs: it does not depend on the image."
            )
        return gradient
