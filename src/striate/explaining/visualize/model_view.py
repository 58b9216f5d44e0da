"""A borrowed network's view of images: the activations of its places, and its answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from striate.core.errors import StriateError
from striate.explaining.visualize.color import ImageScaling
from striate.hooks import Captured, Reached, borrow, capture


class ObjectiveError(StriateError):
    """An objective that a network cannot be optimized for."""


@dataclass(frozen=True)
class Activations:
    """The activations and the answer of a network for some images."""

    captured: Captured | Mapping[str, Tensor]
    answer: object

    def map(self, place: str) -> Float[Tensor, "n c h w"]:
        """Return the activations at `place` in at least float32; a vector is a map of one position.

        Raises:
            ObjectiveError: the place returns neither maps nor vectors.
        """
        values = self.captured[place]
        if values.ndim not in (2, 4):
            raise ObjectiveError(
                f"An objective reads maps (n, c, h, w) or vectors (n, c); place {place!r} gives {tuple(values.shape)}."
            )
        values = values if values.dtype == torch.float64 else values.float()
        return values if values.ndim == 4 else values[:, :, None, None]

    def logits(self) -> Float[Tensor, "n k"]:
        """Return the answer in at least float32.

        Raises:
            ObjectiveError: the network does not answer with rows of logits.
        """
        if self.answer is None:
            raise ObjectiveError("The network has run only up to the places of the objective: it has no output here.")
        if not isinstance(self.answer, Tensor) or self.answer.ndim != 2:
            given = tuple(self.answer.shape) if isinstance(self.answer, Tensor) else type(self.answer).__name__
            raise ObjectiveError(
                f"A class needs rows of logits (n, k); this network returns {given}: use an objective of a place."
            )
        return self.answer if self.answer.dtype == torch.float64 else self.answer.float()


@dataclass(frozen=True)
class ModelView:
    """A borrowed network with captured places that takes images from 0 to 1. Made by `view_model`."""

    model: nn.Module
    scaling: ImageScaling
    captured: Captured
    weights: Tensor

    def __call__(self, images: Float[Tensor, "n c h w"]) -> Activations:
        given = self.scaling.scaled(images).to(self.weights.device, self.weights.dtype)
        try:
            answer = self.model(given)
        except Reached:
            answer = None
        return Activations(self.captured, answer)

    def empty(self) -> Tensor:
        """Return an empty tensor with the network's device and the dtype of images for it: at least float32."""
        kind = torch.float64 if self.weights.dtype == torch.float64 else torch.float32
        return torch.empty(0, device=self.weights.device, dtype=kind)


@contextmanager
def view_model(
    model: nn.Module, places: Sequence[str], scaling: ImageScaling, *, part: bool = False
) -> Iterator[ModelView]:
    """Within the block, borrow `model` and capture its activations at `places`.

    With `part` it runs only up to them, so that images may have a size that its head does not take. Before, it runs
    once as a whole, on an empty image of its own size, to make sure that each place runs once.
    """
    weights = next((weight for weight in model.parameters() if weight.is_floating_point()), torch.zeros(1)).detach()
    with borrow(model):
        if part:
            with torch.no_grad(), capture(model, places) as whole:
                model(weights.new_zeros(1, *scaling.spec.shape))
            for place in places:
                _ = whole[place]
        with capture(model, places, stop=part) as captured:
            yield ModelView(model, scaling, captured, weights)
