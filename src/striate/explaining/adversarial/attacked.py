"""The attacked model: from pixels to logits, and the gradient of a score for each pixel."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from striate.explaining._batching import AutoBatch
from striate.explaining.adversarial.goal import ResolvedGoal
from striate.explaining.adversarial.pixels import AttackError, InputPath, depth, to_levels, to_pixels

Levels = Float[Tensor, "n c h w"]


def _finite(logits: Tensor) -> Tensor:
    if not logits.isfinite().all():
        raise AttackError("The outputs of the network are infinite or undefined for an image, so it cannot be fooled.")
    return logits


class AttackedModel:
    """A borrowed network after its input path. Pixels are levels in float32, whatever the dtype of the network."""

    def __init__(self, model: nn.Module, path: InputPath) -> None:
        self._model, self._path = model, path
        self._forward, self._both_ways = AutoBatch(), AutoBatch()
        weights = next((weight for weight in model.parameters() if weight.is_floating_point()), torch.empty(0))
        self.device, self._dtype = weights.device, weights.dtype
        self.spec, self.depth = path.spec, depth(path.spec)
        self._factor, self._offset = (
            torch.from_numpy(np.array(column, np.float32).reshape(1, -1, 1, 1)).to(self.device)
            for column in path.spec.scaling
        )

    def logits(self, prepared: Levels) -> Float[Tensor, "n k"]:
        """Compute the logits for levels of the input grid, scaled by one product and one sum as in preparation."""
        return self._model((prepared * self._factor + self._offset).to(self._dtype))

    @torch.no_grad()
    def answers(self, whole: Levels) -> Float[Tensor, "n k"]:
        """Return the logits, in float32, of whole pixels after the exact input path."""

        def run(part: slice) -> Tensor:
            pixels = self._path.exact(to_pixels(whole[part], self.depth))
            return _finite(self.logits(to_levels(pixels, self.device)).float())

        return torch.cat(list(self._forward(len(whole), run)))

    @torch.no_grad()
    def unrounded(self, pixels: Levels) -> Float[Tensor, "n k"]:
        """Return the logits, in float32, of pixels of any value after the differentiable input path."""

        def run(part: slice) -> Tensor:
            return _finite(self.logits(self._path.differentiable(pixels[part])).float())

        return torch.cat(list(self._forward(len(pixels), run)))

    def ascent(self, pixels: Levels, goal: ResolvedGoal) -> tuple[Levels, Float[Tensor, "n k"]]:
        """Return ∂progress/∂pixel of each image's own progress (see `ResolvedGoal.progress`), and its logits."""
        return self._gradient(pixels, lambda part, logits: goal[part].progress(logits))

    def slopes(self, pixels: Levels, goal: ResolvedGoal) -> Levels:
        """Return ∂z/∂pixel of the logit of each image's class."""
        gradient, _ = self._gradient(pixels, lambda part, logits: logits.gather(1, goal.classes[part, None]))
        return gradient

    def _gradient(
        self, pixels: Levels, score: Callable[[slice, Tensor], Tensor]
    ) -> tuple[Levels, Float[Tensor, "n k"]]:
        def run(part: slice) -> tuple[Tensor, Tensor]:
            given = pixels[part].detach().requires_grad_()
            logits = _finite(self.logits(self._path.differentiable(given)))
            found = score(part, logits).sum()
            gradient = torch.autograd.grad(found, given, allow_unused=True)[0] if found.requires_grad else None
            if gradient is None:
                raise AttackError(
                    "No gradient of the outputs reaches the image: the network detaches what it computes, or runs a "
                    "part under torch.no_grad or inference_mode. evolve needs no gradient."
                )
            return gradient, logits.detach().float()

        gradients, logits = zip(*self._both_ways(len(pixels), run), strict=True)
        return torch.cat(gradients), torch.cat(logits)

    def reach(self, pixels: Levels) -> Bool[Tensor, "n c h w"]:
        """Return which pixels reach the network: those that a crop cuts away do not."""
        middle = torch.full_like(pixels, self.spec.maximum / 2).requires_grad_()
        prepared = self._path.differentiable(middle)
        # Weights without a pattern: where a filter has both signs, an even sum could cancel.
        weights = 0.5 + torch.rand(prepared.shape, generator=torch.Generator().manual_seed(0)).to(prepared)
        (gradient,) = torch.autograd.grad((prepared * weights).sum(), middle)
        return gradient != 0

    def boxed(self, pixels: Levels) -> Levels:
        """Clamp pixels to the range that exists: 0 to the largest value."""
        return pixels.clamp(0, self.spec.maximum)
