"""TensorFlow's "same" padding compared with Keras's, with the same weights.

Keras runs on torch here. Where the padding is not the same at both ends, its averages differ there from TensorFlow's:
it repeats the border and divides by the whole window, where TensorFlow takes the mean of what lies inside. So averages
are compared where both ends are alike; the loops of `tests/reference/padding.py` judge the others.
"""

from __future__ import annotations

import importlib
import os
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from striate import layers

os.environ.setdefault("KERAS_BACKEND", "torch")
os.environ.setdefault("KERAS_TORCH_DEVICE", "cpu")  # as the networks it is compared with
keras: Any = importlib.import_module("keras")

_KERAS: dict[str, Any] = {
    "Conv2dSame": keras.layers.Conv2D,
    "MaxPool2dSame": keras.layers.MaxPooling2D,
    "AvgPool2dSame": keras.layers.AveragePooling2D,
}


def _random(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(11), dtype=torch.float64)


def _asked(judge: Any, x: Tensor) -> Tensor:
    """Keras has its channels last."""
    last = [0, *range(2, x.ndim), 1]
    output = judge(x.permute(last))
    return output.permute(0, x.ndim - 1, *range(1, x.ndim - 1))


@pytest.mark.parametrize("sizes", [(8, 9), (7, 6), (5, 5)])
@pytest.mark.parametrize(("kernel", "stride", "dilation"), [(3, 2, 1), (2, 1, 1), (4, 3, 1), (3, 1, 2), (1, 2, 1)])
def test_convolutions_are_those_of_keras(kernel: int, stride: int, dilation: int, sizes: tuple[int, ...]) -> None:
    ours = layers.Conv2dSame(3, 5, kernel, stride, dilation).double()
    theirs = _KERAS["Conv2dSame"](5, kernel, stride, "same", dilation_rate=dilation, dtype="float64")
    x = _random(2, 3, *sizes)
    theirs.build((None, *sizes, 3))
    assert ours.bias is not None
    # Keras has the kernel's axes first, then inputs and outputs.
    theirs.set_weights([ours.weight.detach().permute(2, 3, 1, 0).numpy(), ours.bias.detach().numpy()])
    torch.testing.assert_close(ours(x), _asked(theirs, x))


_WINDOWS = [((8, 9), 3, 2), ((7, 6), 2, 1), ((5, 5), 4, 3), ((8, 7), 1, 2)]
_ALIKE_AT_BOTH_ENDS = [((7, 9), 3, 2), ((8, 5), 3, 1), ((8, 6), 4, 2), ((8, 7), 1, 2)]


@pytest.mark.parametrize(
    ("name", "sizes", "kernel", "stride"),
    [("MaxPool2dSame", *window) for window in _WINDOWS]
    + [("AvgPool2dSame", *window) for window in _ALIKE_AT_BOTH_ENDS],
)
def test_pooling_is_that_of_keras(name: str, sizes: tuple[int, int], kernel: int, stride: int) -> None:
    x = _random(2, 3, *sizes) - 9
    theirs = _KERAS[name](kernel, stride, "same", dtype="float64")
    torch.testing.assert_close(getattr(layers, name)(kernel, stride)(x), _asked(theirs, x))


@pytest.mark.parametrize("stride", [1, 2])
def test_separable_convolutions_are_those_of_keras(stride: int) -> None:
    ours = layers.SeparableConv2d(3, 5, 3, stride, "same").double()
    theirs = keras.layers.SeparableConv2D(5, 3, stride, "same", dtype="float64")
    x = _random(2, 3, 8, 7)
    theirs.build((None, 8, 7, 3))
    depthwise, pointwise, bias = (parameter.detach() for parameter in ours.parameters())
    kernels = depthwise.permute(2, 3, 0, 1), pointwise.permute(2, 3, 1, 0)
    theirs.set_weights([*(kernel.numpy() for kernel in kernels), bias.numpy()])
    torch.testing.assert_close(ours(x), _asked(theirs, x))


def test_max_norm_of_a_dense_layer_is_that_of_keras() -> None:
    ours = layers.MaxNormLinear(20, 6, max_norm=0.65)
    nn.init.normal_(ours.weight, std=0.15, generator=torch.Generator().manual_seed(0))
    theirs = keras.constraints.MaxNorm(0.65)(ours.weight.detach().T)
    before = ours.weight.detach().clone()
    ours.project_()
    torch.testing.assert_close(ours.weight.detach(), theirs.T)
    assert 0 < int((ours.weight == before).all(dim=1).sum()) < 6  # some were too long, some not
