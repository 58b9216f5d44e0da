"""One picture with its target, and many of them. The index of a sample is never lost."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int, UInt
from torch import Tensor


@dataclass(frozen=True)
class Sample:
    """One picture as decoded (height, width, channels; uint8 or uint16), its class and its index in the data set."""

    pixels: UInt[np.ndarray, "h w c"]
    target: int
    index: int


@dataclass(frozen=True)
class Batch:
    """Prepared pictures as a network takes them, their targets (classes, or shares of classes) and their indices."""

    images: Float[Tensor, "n c h w"]
    targets: Int[Tensor, " n"] | Float[Tensor, "n k"]
    index: Int[Tensor, " n"]

    def __len__(self) -> int:
        return self.images.shape[0]
