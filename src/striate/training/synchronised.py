"""Batch normalization over the whole batch where several processes compute its parts."""

from __future__ import annotations

from typing import Any, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from striate.core.device import full_precision
from striate.core.processes import Processes


def synchronise(model: nn.Module, processes: Processes) -> None:
    """Let the batch norms of `model`, in training, use the mean and the variance of the batch of all processes.

    The mean is Σ nᵣ mᵣ / Σ nᵣ and the variance Σ nᵣ (vᵣ + (mᵣ - mean)²) / Σ nᵣ for nᵣ values of mean mᵣ and variance vᵣ
    in process r: T. Chan, G. Golub and R. LeVeque, "Updating formulae and a pairwise algorithm for computing sample
    variances", COMPSTAT 1982. Torch's `SyncBatchNorm` does the same, on GPUs only.
    """
    if processes.count == 1:
        return
    for module in model.modules():
        if type(module) in (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d):
            kind = type(module)
            module.__class__ = type(kind.__name__, (_Synchronised, kind), {"processes": processes})


class _Synchronised(_BatchNorm):
    """A batch norm after `synchronise`; parameters and buffers are as before."""

    processes: Processes

    def forward(self, input: Float[Tensor, "n c *size"]) -> Float[Tensor, "n c *size"]:
        if not self.training:
            return super().forward(input)
        axes, shape = [0, *range(2, input.ndim)], (1, -1, *[1] * (input.ndim - 2))
        with full_precision(input.device):
            values = input.float()
            local, count = values.mean(axes), values.numel() / values.shape[1]
            sums = self._total(torch.cat([local * count, local.new_tensor([count])]))
            total = sums[-1].detach()
            mean = sums[:-1] / total
            squares = values.var(axes, correction=0) + (local - mean) ** 2
            variance = self._total(squares * count) / total
            normal = (values - mean.view(shape)) * (variance.view(shape) + self.eps).rsqrt()
            if self.affine:
                normal = normal * self.weight.view(shape) + self.bias.view(shape)
        self._track(mean.detach(), variance.detach() * (total / (total - 1)))
        return normal.to(input.dtype)

    def _total(self, values: Tensor) -> Tensor:
        return cast(Tensor, _Total.apply(values, self.processes))

    @torch.no_grad()
    def _track(self, mean: Tensor, variance: Tensor) -> None:
        """Update the running statistics; the variance is unbiased."""
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked.add_(1)
        share = 1.0 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean, share)
        self.running_var.lerp_(variance, share)


class _Total(torch.autograd.Function):
    """The sum over processes; so is the sum of its gradients."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, processes: Processes) -> Tensor:
        ctx.processes = processes
        total = values.clone()
        processes.total(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        total = gradients[0].contiguous().clone()
        ctx.processes.total(total)
        return total, None
