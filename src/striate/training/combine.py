"""Combine what several processes have computed of one batch: the gradient, the loss and batch-norm statistics.

The mean over a batch is the sum over its parts of their weighted means, which is formed for all parameters at once: one
message per step. It differs in the last bits from the mean that a single process computes.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from striate.core.processes import Processes


@torch.no_grad()
def combine(
    processes: Processes,
    model: nn.Module,
    parameters: Sequence[nn.Parameter],
    loss: Float[Tensor, ""],
    weight: float,
) -> Float[Tensor, ""]:
    """Replace the gradients and the loss of a part, multiplied by its `weight`, by those of the batch; return the loss.

    The statistics of the batch norms that are trained become the weighted mean of those of the processes.
    """
    if processes.count == 1:
        return loss
    trained = [parameter for parameter in parameters if parameter.requires_grad]
    buffers = _statistics(model)
    # A layer that has no gradient in one process may have one in another.
    known = loss.new_tensor([parameter.grad is not None for parameter in trained])
    gradients = [torch.zeros_like(one) if one.grad is None else one.grad for one in trained]
    values = [loss, known, *gradients, *(buffer * weight for buffer in buffers)]
    total, found, *sums = _sums(processes, values)
    for parameter, has, value in zip(trained, found.tolist(), sums, strict=False):
        parameter.grad = torch.empty_like(parameter).copy_(value) if has else None
    for buffer, value in zip(buffers, sums[len(trained) :], strict=True):
        buffer.copy_(value)
    return total


@torch.no_grad()
def combine_statistics(processes: Processes, model: nn.Module) -> None:
    """Replace the statistics of all batch norms of `model` by their mean over the processes."""
    buffers = _statistics(model, frozen=True)
    if processes.count > 1 and buffers:
        for buffer, value in zip(buffers, _sums(processes, [each / processes.count for each in buffers]), strict=True):
            buffer.copy_(value)


@torch.no_grad()
def spread(processes: Processes, model: nn.Module) -> None:
    """Replace parameters and buffers of `model` by those of the process that writes."""
    if processes.count > 1:
        for value in (*model.parameters(), *model.buffers()):
            processes.spread(value)


def _statistics(model: nn.Module, *, frozen: bool = False) -> list[Tensor]:
    norms = [each for each in model.modules() if isinstance(each, _BatchNorm) and (each.training or frozen)]
    found = [statistic for norm in norms for statistic in (norm.running_mean, norm.running_var)]
    return [statistic for statistic in found if statistic is not None]


def _sums(processes: Processes, values: Sequence[Tensor]) -> list[Tensor]:
    """Return the sums of `values` over the processes, in float32."""
    flat = torch.cat([value.float().reshape(-1) for value in values])
    processes.total(flat)
    parts = flat.split([value.numel() for value in values])
    return [part.view(value.shape) for part, value in zip(parts, values, strict=True)]
