"""A batch: images, targets and indices."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float, Int, Shaped
from torch import Tensor


@dataclass(frozen=True)
class Batch:
    """Prepared images (the input of a model), targets in the form of their task, and indices in the data set.

    Where several processes compute a batch, this is the part of one of them, and `weight` is the weight of its mean
    loss in the mean of the whole batch.
    """

    images: Float[Tensor, "n c h w"]
    targets: Shaped[Tensor, "n ..."]
    index: Int[Tensor, " n"]
    weight: float = 1.0

    def __len__(self) -> int:
        return self.images.shape[0]
