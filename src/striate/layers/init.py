"""Initial weights, as their papers name them.

Each function sets every convolution and every fully connected layer inside a module (or the module itself), in place:
the weights as its paper says, the biases to zero. Fan-in and fan-out count a kernel's area too: the fan-in of a
convolution is kernel height × kernel width × input channels.
"""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn


def xavier_(module: nn.Module) -> None:
    """Uniform in ±√(6 / (fan-in + fan-out)): keeps the variance where the slope at zero is one, in both directions.

    Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural networks", AISTATS 2010,
    eq. 16.
    """
    for layer in _weighted(module):
        nn.init.xavier_uniform_(layer.weight)


def he_(module: nn.Module) -> None:
    """Normal with variance 2 / fan-in: keeps the variance through layers followed by a ReLU, which halves it.

    He, Zhang, Ren and Sun, "Delving deep into rectifiers", ICCV 2015, arXiv:1502.01852, eq. 10.
    """
    for layer in _weighted(module):
        nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")


def _weighted(module: nn.Module) -> Iterator[nn.Conv2d | nn.Linear]:
    """The layers of `module` that carry weights, their biases set to zero on the way."""
    for layer in module.modules():
        if isinstance(layer, (nn.Conv2d, nn.Linear)):
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
            yield layer
