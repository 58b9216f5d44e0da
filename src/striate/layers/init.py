"""Initial weights, as their papers name them.

`xavier_`, `he_`, `normal_` and `truncated_normal_` set every convolution and every fully connected layer inside a
module (or the module itself), in place: the weights as its paper says, the biases to zero. Fan-in is how many inputs
one output sums up, fan-out how many outputs one input reaches: a kernel's area counts, and of several groups only one.
(torch's own fan-out counts all groups, which makes a depthwise convolution's weights too small by the root of its
channels.) On the meta device nothing is done.

`dirac_` and `whiten_` set one convolution.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

_AT_ONCE = 256  # images whose patches are in memory together

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


@torch.no_grad()
def dirac_(conv: nn.Conv2d) -> None:
    """Let the first filters copy the input, one channel each: 1 at the centre of its own channel, 0 elsewhere.

    Of n input and k output channels these are the first min(n, k) filters, and their biases are 0; the others keep
    their weights. A partial identity, as in Jordan 2024, arXiv:2404.00498, section 3.3, after Zagoruyko and Komodakis
    2017, arXiv:1706.00388, eq. 2. `torch.nn.init.dirac_` sets the other filters to 0.

    Raises:
        ValueError: the convolution has groups, or a kernel of even size, which has no centre.
    """
    if conv.groups != 1 or not all(side % 2 for side in conv.kernel_size):
        raise ValueError(f"dirac_ needs a kernel of odd size and one group; received {conv}")
    count = min(conv.in_channels, conv.out_channels)
    nn.init.dirac_(conv.weight[:count])
    if conv.bias is not None:
        conv.bias[:count] = 0.0


def patch_covariance(
    images: Float[Tensor, "n c h w"], kernel: tuple[int, int], dilation: tuple[int, int] = (1, 1)
) -> Float[Tensor, "d d"]:
    """Return the covariance of all patches of images, d = c · height · width of the kernel, in float64.

    A patch is laid out as the weights of a filter, (channel, row, column).
    """
    total, products, count = 0.0, 0.0, 0
    for some in images.split(_AT_ONCE):
        patches = F.unfold(some.double(), kernel, dilation).transpose(0, 1).flatten(1)
        total, products, count = total + patches.sum(1), products + patches @ patches.T, count + patches.shape[1]
    mean = torch.as_tensor(total) / count
    return torch.as_tensor(products) / count - torch.outer(mean, mean)


@torch.no_grad()
def whiten_(conv: nn.Conv2d, images: Float[Tensor, "n c h w"], epsilon: float) -> None:
    """Let the filters be the principal components of the patches of `images`, each divided by its standard deviation.

    Filter i is eᵢ / √(λᵢ + ε), where λ₁ ≥ λ₂ ≥ … are the eigenvalues of the covariance of the patches and eᵢ the
    eigenvectors, and filter i + m its negative, so that both signs pass a ReLU; m is the smaller of d, the size of a
    patch, and half the number of filters. Filters after the first 2 m keep their weights, and all biases are 0. The
    responses of the first m filters have the variance λᵢ / (λᵢ + ε) and no covariance. Page 2019 (cifar10-fast), in the
    form of Jordan 2024, arXiv:2404.00498, section 3.2. The sign of an eigenvector is that with which its largest
    component is positive.

    Raises:
        ValueError: the convolution has groups, or the images other channels than its input.
    """
    if conv.groups != 1 or conv.in_channels != images.shape[1]:
        raise ValueError(f"whiten_ needs a convolution of the images' {images.shape[1]} channels; received {conv}")
    height, width = conv.kernel_size
    dilation = conv.dilation
    values, vectors = torch.linalg.eigh(patch_covariance(images, (height, width), (dilation[0], dilation[1])))
    values, rows = values.flip(0), vectors.T.flip(0)
    largest = rows.gather(1, rows.abs().argmax(1, keepdim=True))
    scaled = rows * largest.sign() / (values.clamp(min=0) + epsilon).sqrt()[:, None]
    half = min(len(scaled), conv.out_channels // 2)
    filters = torch.cat([scaled[:half], -scaled[:half]]).reshape(2 * half, *conv.weight.shape[1:])
    conv.weight[: 2 * half] = filters.to(conv.weight)
    if conv.bias is not None:
        nn.init.zeros_(conv.bias)


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
