"""TensorFlow's "same" padding against loops over pixels, and against numbers worked by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from reference import padding as slow
from striate.layers import (
    AvgPool2dSame,
    Conv2dSame,
    MaxPool2dSame,
    SeparableConv2d,
)

Axes = tuple[tuple[int, int, int, int], ...]
# Size, kernel, stride and dilation of an axis: also kernels longer than the map and strides longer than the kernel.
_axis = st.tuples(st.integers(1, 7), st.integers(1, 4), st.integers(1, 3), st.integers(1, 2))
_axes = st.tuples(_axis, _axis)
_many = settings(max_examples=60, deadline=None, derandomize=True)


def _random(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(7), dtype=torch.float64)


def _randomised(layer: nn.Module) -> Any:
    for seed, parameter in enumerate(layer.double().parameters()):
        nn.init.normal_(parameter, generator=torch.Generator().manual_seed(seed))
    return layer


def _numbers(parameter: Tensor) -> np.ndarray:
    return parameter.detach().numpy()


def _same(fast: Tensor, expected: np.ndarray) -> None:
    torch.testing.assert_close(fast.detach(), torch.from_numpy(expected))


@_many
@given(axes=_axes)
def test_convolutions_are_those_of_a_loop_over_all_places(axes: Axes) -> None:
    size, kernel, stride, dilation = zip(*axes, strict=True)
    layer = _randomised(Conv2dSame(2, 4, kernel, stride, dilation, groups=2))
    x = _random(1, 2, *size)
    weight, bias = _numbers(layer.weight), _numbers(layer.bias)
    _same(layer(x)[0], slow.convolve(x[0].numpy(), weight, bias, layer.stride, layer.dilation, groups=2))


@pytest.mark.parametrize(("layer", "reduce"), [(MaxPool2dSame, max), (AvgPool2dSame, np.mean)])
@_many
@given(axes=st.tuples(_axis, _axis))
def test_pooling_reads_only_values_inside_the_map(
    layer: Any, reduce: Callable[..., float], axes: tuple[tuple[int, int, int, int], ...]
) -> None:
    size, kernel, stride, _ = zip(*axes, strict=True)
    x = _random(2, 3, *size) - 9  # negative, so that a padded zero would win
    expected = np.stack([slow.pool(picture.numpy(), kernel, stride, reduce) for picture in x])
    _same(layer(kernel, stride)(x), expected)


def test_the_odd_row_is_padded_at_the_end() -> None:
    """Four places, a window of three, two places: it stands on 0 1 2 and on 2 3 and the padding."""
    x = torch.tensor([[[[1.0, 2.0, 3.0, 4.0]]]])
    conv = Conv2dSame(1, 1, (1, 3), (1, 2), bias=False)
    nn.init.ones_(conv.weight)
    assert conv(x).flatten().tolist() == [6, 7]
    assert AvgPool2dSame((1, 3), (1, 2))(x).flatten().tolist() == [2, 3.5]
    assert MaxPool2dSame((1, 3), (1, 2))(x).flatten().tolist() == [3, 4]


def test_where_both_ends_get_the_same_nothing_is_copied() -> None:
    layer, x = Conv2dSame(3, 5, 3, stride=2), torch.randn(1, 3, 9, 9)
    program = torch.export.export(layer, (x,))
    assert not [node for node in program.graph.nodes if "pad" in str(node.target)]
    assert torch.equal(layer(x), F.conv2d(x, layer.weight, layer.bias, 2, 1))


@pytest.mark.filterwarnings("ignore:Using padding='same'")  # torch tells that it copies
def test_with_a_stride_of_one_it_is_what_torch_calls_same() -> None:
    layer, x = _randomised(Conv2dSame(2, 3, (4, 4))), _random(1, 2, 6, 5)
    torch.testing.assert_close(layer(x), F.conv2d(x, layer.weight, layer.bias, padding="same"))


@pytest.mark.parametrize("padding", ["same", 1, (0, 1)])
def test_a_separable_convolution_is_one_convolution_of_low_rank(padding: Any) -> None:
    layer = _randomised(SeparableConv2d(3, 5, 3, stride=2, padding=padding))
    x = _random(2, 3, 8, 10)
    full = Conv2dSame(3, 5, 3, 2) if padding == "same" else nn.Conv2d(3, 5, 3, 2, padding)
    full.double()
    with torch.no_grad():
        full.weight.copy_(layer.pointwise.weight * layer.depthwise.weight[:, 0])
        full.bias.copy_(layer.pointwise.bias)  # pyright: ignore[reportOptionalMemberAccess]
    torch.testing.assert_close(layer(x), full(x))
    assert [name for name, _ in layer.named_parameters()] == ["depthwise.weight", "pointwise.weight", "pointwise.bias"]


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (Conv2dSame(2, 3, (3, 2), 2), (1, 2, 4, 5)),
        (Conv2dSame(2, 4, 4, 3, 2, groups=2), (2, 2, 7, 4)),
        (AvgPool2dSame(3, 2), (1, 2, 4, 5)),
        (AvgPool2dSame(2, 1), (1, 2, 4, 5)),
        (MaxPool2dSame(3, 2), (1, 2, 4, 5)),
        (MaxPool2dSame(2, 1), (1, 2, 4, 5)),
        (SeparableConv2d(2, 3, 3, 2, "same"), (1, 2, 4, 5)),
    ],
)
def test_gradients_are_those_of_small_changes(layer: nn.Module, shape: tuple[int, ...]) -> None:
    layer = _randomised(layer)
    names = [name for name, _ in layer.named_parameters()]

    def run(x: Tensor, *parameters: Tensor) -> Tensor:
        return torch.func.functional_call(layer, dict(zip(names, parameters, strict=True)), (x,))

    assert torch.autograd.gradcheck(run, (_random(*shape).requires_grad_(), *layer.parameters()))


@_many
@given(axes=_axes)
def test_in_use_maps_are_padded_as_in_training_whatever_their_order(
    axes: tuple[tuple[int, int, int, int], ...],
) -> None:
    size, kernel, stride, dilation = zip(*axes, strict=True)
    layer = _randomised(Conv2dSame(3, 2, kernel, stride, dilation))
    x = _random(2, 3, *size)
    channels_last = x.movedim(1, -1).contiguous().movedim(-1, 1)
    expected = layer(x).detach()
    with torch.inference_mode():
        torch.testing.assert_close(layer(x), expected)
        torch.testing.assert_close(layer(channels_last), expected)
