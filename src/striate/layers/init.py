"""Initial weights, as their papers name them.

Each function sets every convolution and every fully connected layer inside a module (or the module itself), in place:
the weights as its paper says, the biases to zero. Fan-in is how many inputs one output sums up, fan-out how many
outputs one input reaches: a kernel's area counts, and of several groups only one. (torch's own fan-out counts all
groups, which makes a depthwise convolution's weights too small by the root of its channels.) On the meta device
nothing is done.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Literal

from torch import nn

Weighted = nn.Conv1d | nn.Conv2d | nn.Conv3d | nn.ConvTranspose1d | nn.ConvTranspose2d | nn.ConvTranspose3d | nn.Linear


def xavier_(module: nn.Module) -> None:
    """Uniform in ±√(6 / (fan-in + fan-out)): keeps the variance where the slope at zero is one, in both directions.

    Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural networks", AISTATS 2010,
    eq. 16.
    """
    for layer in _weighted(module):
        bound = math.sqrt(6 / sum(_fans(layer)))
        nn.init.uniform_(layer.weight, -bound, bound)


def he_(module: nn.Module, fan: Literal["in", "out"] = "in") -> None:
    """Draw from a normal distribution with variance 2 / fan, which keeps the variance through a layer and its ReLU.

    He, Zhang, Ren and Sun, "Delving deep into rectifiers", ICCV 2015, arXiv:1502.01852: with the fan-in (eq. 10) that
    of the maps on the way forward, with the fan-out (eq. 14) that of the gradients on the way back.
    """
    for layer in _weighted(module):
        fan_in, fan_out = _fans(layer)
        nn.init.normal_(layer.weight, std=math.sqrt(2 / (fan_in if fan == "in" else fan_out)))


def normal_(module: nn.Module, std: float) -> None:
    """Draw from a normal distribution with mean 0 and standard deviation `std` (0.01 in AlexNet's and VGG's papers)."""
    for layer in _weighted(module):
        nn.init.normal_(layer.weight, std=std)


def truncated_normal_(module: nn.Module, std: float) -> None:
    """Draw from a normal distribution with mean 0, truncated at two standard deviations `std`, as TensorFlow does.

    What is left has a standard deviation of 0.880 `std`. (`torch.nn.init.trunc_normal_` cuts at ±2 by default: for the
    usual 0.02 that is no cut at all.)
    """
    for layer in _weighted(module):
        nn.init.trunc_normal_(layer.weight, std=std, a=-2 * std, b=2 * std)


def _weighted(module: nn.Module) -> Iterator[Weighted]:
    """Yield the layers of `module` with weights, after setting their biases to zero."""
    for layer in module.modules():
        # Torch's normal_ on the meta device would import its compiler, a second and more, to do nothing.
        if isinstance(layer, Weighted) and not layer.weight.is_meta:
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
            yield layer


def _fans(layer: Weighted) -> tuple[int, int]:
    """Return how many inputs an output sums up, and how many outputs an input reaches with a stride of one."""
    # Weights are (outputs, inputs / groups, …); those of a transposed convolution (inputs, outputs / groups, …).
    groups = 1 if isinstance(layer, nn.Linear) else layer.groups
    across, along = layer.weight[0].numel(), layer.weight.numel() // layer.weight.shape[1] // groups
    transposed = isinstance(layer, (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d))
    return (along, across) if transposed else (across, along)
