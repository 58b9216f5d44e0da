"""What a value inside a network sees, found out by differentiating: slow, and true of any network."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def make_positive(network: nn.Module) -> None:
    """Make all weights positive, so that nothing cancels and no ReLU is shut."""
    for parameter in network.parameters():
        parameter.data = parameter.data.abs() + 0.01


def seen_rows_and_columns(network: nn.Module, size: tuple[int, int], position: tuple[int, int] | None) -> Tensor:
    """Which pixels (h, w) one position of the network's output sees; with None, which any position sees.

    Max pooling hands its gradient to one pixel only, so the gradients of many images are laid over each other.
    """
    pictures = torch.rand(128, 1, *size, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    pictures.requires_grad_()
    output = network.double().eval()(pictures)
    chosen = output if position is None else output[:, :, position[0], position[1]]
    (gradient,) = torch.autograd.grad(chosen.sum(), pictures)
    return gradient.abs().amax(dim=(0, 1)) > 0


def extent(seen: Tensor) -> tuple[int, int]:
    """Rows and columns from the first to the last that are seen, both included."""
    rows, columns = (seen.any(dim=axis).nonzero().flatten() for axis in (1, 0))
    return int(rows[-1] - rows[0]) + 1, int(columns[-1] - columns[0]) + 1


def unseen_at_the_end(seen: Tensor) -> tuple[int, int]:
    """How many of the last rows and of the last columns no unit sees."""
    rows, columns = (seen.any(dim=axis).nonzero().flatten() for axis in (1, 0))
    return seen.shape[0] - 1 - int(rows[-1]), seen.shape[1] - 1 - int(columns[-1])
