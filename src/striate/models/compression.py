"""Prune weights by their magnitude, and let the rest share few values: the first two steps of Deep Compression.

S. Han, J. Pool, J. Tran and W. J. Dally, "Learning both weights and connections for efficient neural networks", NeurIPS
2015, arXiv:1506.02626; S. Han, H. Mao and W. J. Dally, "Deep Compression", ICLR 2016, arXiv:1510.00149, sections 2 and
3. Matrices and kernels are changed; biases and norms stay as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from striate.core.errors import ConfigError, nearest

_MOST_ROUNDS = 1000


Layer: TypeAlias = nn.Linear | nn.modules.conv._ConvNd
"""A layer whose weights are compressed."""


def compressible(model: nn.Module) -> dict[str, Layer]:
    """Return the convolutions and linear layers of `model`, by their paths."""
    return {path: module for path, module in model.named_modules() if isinstance(module, Layer)}


@torch.no_grad()
def prune(model: nn.Module, keep: float | Mapping[str, float]) -> None:
    """Set the weights of the smallest magnitude to zero: the fraction `keep` of all stays, or of layers by their paths.

    A fraction of all is divided among the layers by the score of J. Lee et al., "Layer-adaptive sparsity for the
    magnitude-based pruning", ICLR 2021, arXiv:2010.15110: w² over the sum of the squares that are not smaller, in its
    layer. Within a layer the order is that of magnitudes. Deep Compression sets a threshold for each layer by hand.

    Raises:
        ConfigError: there is no such layer, or none at all, or a fraction is not above 0 and at most 1.
    """
    layers = compressible(model)
    shares = keep if isinstance(keep, Mapping) else {"keep": keep}
    for name, share in shares.items():
        if not 0 < share <= 1:
            raise ConfigError(f"The fraction of weights that stay is above 0 and at most 1; received {name}={share:g}.")
    if isinstance(keep, Mapping):
        for name in keep:
            if name not in layers:
                raise ConfigError(f"The network has no convolution or linear layer {name!r}. {nearest(name, layers)}")
        for path, share in keep.items():
            weight = layers[path].weight
            _cut(weight, weight.abs().reshape(-1), round(share * weight.numel()))
        return
    scores = [_layer_adaptive(layer.weight) for layer in layers.values()]
    if not any(map(len, scores)):
        raise ConfigError("The network has no convolution or linear layer, so there are no weights to prune.")
    joined = torch.cat(scores)
    kept = max(1, round(keep * len(joined)))
    least = joined.kthvalue(len(joined) - kept + 1).values
    for layer, score in zip(layers.values(), scores, strict=True):
        _cut(layer.weight, score, max(1, int((score >= least).sum())))


def _layer_adaptive(weight: Tensor) -> Float[Tensor, " n"]:
    squares, order = weight.double().square().reshape(-1).sort(descending=True)
    scores = torch.empty_like(squares)
    scores[order] = squares / squares.cumsum(0).clamp(min=torch.finfo(torch.float64).tiny)
    return scores


def _cut(weight: Tensor, scores: Float[Tensor, " n"], kept: int) -> None:
    """Set all but the `kept` entries of the largest scores to zero."""
    smallest = scores.argsort(stable=True)[: len(scores) - max(1, kept)]
    gone = torch.zeros_like(scores, dtype=torch.bool).index_fill_(0, smallest, value=True)
    weight.masked_fill_(gone.reshape(weight.shape), 0.0)


@torch.no_grad()
def share(model: nn.Module, bits: int, kernel_bits: int) -> None:
    """Replace the weights of each layer other than zero by 2^bits - 1 values, in convolutions by 2^kernel_bits - 1."""
    for layer in compressible(model).values():
        weight = layer.weight
        present = weight != 0
        count = (1 << (bits if isinstance(layer, nn.Linear) else kernel_bits)) - 1  # zero is one of the values
        if not present.any():
            continue
        centroids, members = cluster(weight[present].cpu().double().numpy(), count)
        values = torch.from_numpy(centroids).to(weight.dtype)
        values[values == 0] = torch.finfo(weight.dtype).tiny  # zero means pruned
        weight[present] = values[torch.from_numpy(members)].to(weight.device)


def cluster(values: Float[np.ndarray, " n"], count: int) -> tuple[Float[np.ndarray, " k"], Int64[np.ndarray, " n"]]:
    """Divide `values` into at most `count` clusters by k-means; return the means, in order, and the cluster of each.

    Lloyd's algorithm from means that are evenly spaced between the least and the largest value, which Deep Compression
    (section 3.2) found best: large weights, of which there are few, matter most. Clusters without a value are dropped
    at the end.
    """
    order = np.argsort(values, kind="stable")
    ranked = values[order]
    sums = np.concatenate([[0.0], np.cumsum(ranked)])
    means = np.linspace(ranked[0], ranked[-1], min(count, len(ranked)))
    ends = np.zeros(0, np.int64)
    for _ in range(_MOST_ROUNDS):
        before, ends = ends, np.searchsorted(ranked, (means[1:] + means[:-1]) / 2, side="right")
        if np.array_equal(before, ends) and len(means) > 1:
            break
        bounds = np.concatenate([[0], ends, [len(ranked)]])
        sizes = np.diff(bounds)
        means = np.where(sizes > 0, np.diff(sums[bounds]) / np.maximum(sizes, 1), means)
        if len(means) == 1:
            break
    sizes = np.diff(np.concatenate([[0], ends, [len(ranked)]]))
    members = np.empty(len(values), np.int64)
    members[order] = np.repeat(np.cumsum(sizes > 0) - 1, sizes)
    return means[sizes > 0], members
