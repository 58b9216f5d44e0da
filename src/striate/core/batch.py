"""Many pictures with their targets. The index of a sample is never lost."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float, Int
from torch import Tensor


@dataclass(frozen=True)
class Batch:
    """Prepared pictures as a network takes them, their targets (classes, or shares of classes) and their indices."""

    images: Float[Tensor, "n c h w"]
    targets: Int[Tensor, " n"] | Float[Tensor, "n k"]
    index: Int[Tensor, " n"]

    def __len__(self) -> int:
        return self.images.shape[0]
