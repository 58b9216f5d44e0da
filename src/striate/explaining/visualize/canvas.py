"""How a picture is held while it grows: what is changed, how it becomes pixels, and how it is changed."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from striate.explaining.visualize.color import Palette


@runtime_checkable
class Canvas(Protocol):
    """Pictures in the making. `values` is the tensor that is changed; its first dimension is the pictures."""

    values: Tensor

    def picture(self) -> Float[Tensor, "n c h w"]:
        """The pictures, from 0 to 1, as a differentiable function of `values`."""
        ...

    def ascend(self, gradient: Tensor) -> None:
        """Change `values` so as to raise what has this gradient."""
        ...


@runtime_checkable
class Parameterization(Protocol):
    """A way to hold a picture, and the settings of that way."""

    def canvas(self, palette: Palette, shape: tuple[int, int, int], generator: torch.Generator, like: Tensor) -> Canvas:
        """An empty canvas for pictures of `shape` (count, height, width), in `like`'s kind of numbers."""
        ...
