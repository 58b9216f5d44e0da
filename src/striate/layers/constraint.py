"""Layers whose weights are kept in a set: the trainer calls `project_` after every update."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class MaxNormConv2d(nn.Conv2d):
    """A convolution each of whose filters, over channels and area, has a Euclidean norm of at most `max_norm`.

    Srebro and Shraibman, "Rank, trace-norm and max-norm", COLT 2005; with dropout in Srivastava, Hinton, Krizhevsky,
    Sutskever and Salakhutdinov, "Dropout: a simple way to prevent neural networks from overfitting", JMLR 15, 2014,
    section 5.1: the vector of weights that come into a unit is projected onto the ball whenever it leaves it. Keras's
    `max_norm`, left at its default axis, bounds each column of a convolution's kernel instead.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int] = 1,
        padding: int | tuple[int, int] | str = 0,
        *,
        max_norm: float,
    ) -> None:
        super().__init__(in_channels, out_channels, kernel_size, stride, padding)
        self.max_norm = max_norm

    def project_(self) -> None:
        _project_rows_(self.weight, self.max_norm)

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, max_norm={self.max_norm}"


class MaxNormLinear(nn.Linear):
    """A fully connected layer whose units' incoming weights each have a Euclidean norm of at most `max_norm`.

    Source and rule as for `MaxNormConv2d`.
    """

    def __init__(self, in_features: int, out_features: int, *, max_norm: float) -> None:
        super().__init__(in_features, out_features)
        self.max_norm = max_norm

    def project_(self) -> None:
        _project_rows_(self.weight, self.max_norm)

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, max_norm={self.max_norm}"


@torch.no_grad()
def _project_rows_(weight: Tensor, largest: float) -> None:
    """Shorten the first dimension's vectors that are longer than `largest`; the others keep every bit."""
    weight.renorm_(2, 0, largest)
