"""Protocols of the ways to parameterize a growing image."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from striate.explaining.visualize.color import ImageScaling


@runtime_checkable
class Canvas(Protocol):
    """Growing images. `values` is the tensor that is changed; its first dimension is the images."""

    values: Tensor

    def images(self) -> Float[Tensor, "n c h w"]:
        """Return the images, from 0 to 1, as a differentiable function of `values`."""
        ...

    def ascend(self, gradient: Tensor) -> None:
        """Change `values` so as to raise the score that has this gradient."""
        ...


@runtime_checkable
class Parameterization(Protocol):
    """A way to parameterize an image, and its settings."""

    def canvas(
        self, scaling: ImageScaling, shape: tuple[int, int, int], generator: torch.Generator, like: Tensor
    ) -> Canvas:
        """Return an empty canvas for images of `shape` (count, height, width), with the device and dtype of `like`."""
        ...
