"""The contract of layers, checked for all of `striate.layers`: a new one needs an example here."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from striate import layers

Shape = tuple[int, ...]

# How one is made, the shapes it is given, and the shape it gives; the batch is put before each.
_EXAMPLES: dict[str, tuple[Callable[[], nn.Module], tuple[Shape, ...], Shape]] = {
    "Add": (layers.Add, ((4, 7, 6), (4, 7, 6), (4, 7, 6)), (4, 7, 6)),
    "AvgPool2dSame": (lambda: layers.AvgPool2dSame(3, 2), ((4, 8, 7),), (4, 4, 4)),
    "Branches": (lambda: layers.Branches(one=nn.Conv2d(4, 2, 1), pool=nn.AvgPool2d(1)), ((4, 7, 6),), (6, 7, 6)),
    "Concat": (layers.Concat, ((4, 7, 6), (1, 7, 6)), (5, 7, 6)),
    "Conv2dSame": (lambda: layers.Conv2dSame(4, 6, 3, (2, 1)), ((4, 8, 7),), (6, 4, 7)),
    "GlobalAveragePool": (layers.GlobalAveragePool, ((4, 7, 6),), (4,)),
    "LayerNorm2d": (lambda: layers.LayerNorm2d(4), ((4, 7, 6),), (4, 7, 6)),
    "LayerScale": (lambda: layers.LayerScale(4, 0.5), ((4, 7, 6),), (4, 7, 6)),
    "LocalResponseNorm": (layers.LocalResponseNorm, ((4, 7, 6),), (4, 7, 6)),
    "MaxNormConv2d": (lambda: layers.MaxNormConv2d(4, 6, 3, padding=1, max_norm=3.0), ((4, 7, 6),), (6, 7, 6)),
    "MaxNormLinear": (lambda: layers.MaxNormLinear(4, 6, max_norm=3.0), ((4,),), (6,)),
    "MaxPool2dSame": (lambda: layers.MaxPool2dSame(3, 2), ((4, 8, 7),), (4, 4, 4)),
    "Pointwise": (lambda: layers.Pointwise(4, 6), ((4, 7, 6),), (6, 7, 6)),
    "SeparableConv2d": (lambda: layers.SeparableConv2d(4, 6, 3, 2, "same"), ((4, 8, 7),), (6, 4, 4)),
    "SqueezeExcitation": (lambda: layers.SqueezeExcitation(4, 2), ((4, 7, 6),), (4, 7, 6)),
    "StochasticDepth": (lambda: layers.StochasticDepth(0.5), ((4, 7, 6),), (4, 7, 6)),
}
_OFFERED = [name for name, value in vars(layers).items() if inspect.isclass(value)]

pytestmark = pytest.mark.parametrize("name", _OFFERED)


def _made(name: str) -> nn.Module:
    torch.manual_seed(0)
    return _EXAMPLES[name][0]()


def _given(name: str, count: int = 3, **kind: torch.device | torch.dtype) -> tuple[Tensor, ...]:
    torch.manual_seed(1)
    return tuple(torch.randn(count, *shape, **kind) for shape in _EXAMPLES[name][1])  # pyright: ignore[reportCallIssue, reportArgumentType]


@pytest.mark.parametrize("training", [True, False])
def test_gives_the_shape_it_should_on_any_device_that_holds_no_data_too(name: str, training: bool) -> None:
    expected = (3, *_EXAMPLES[name][2])
    assert _made(name).train(training)(*_given(name)).shape == expected
    with torch.device("meta"):
        shadow = _made(name).train(training)(*_given(name))
    assert shadow.is_meta
    assert shadow.shape == expected


def test_in_use_it_is_deterministic_independent_across_the_batch_and_takes_double_precision(name: str) -> None:
    layer, given = _made(name).eval(), _given(name)
    double, exact = copy.deepcopy(layer).double(), [one.double() for one in given]
    together = double(*exact)
    assert together.dtype == torch.float64
    assert torch.equal(together, double(*exact))
    apart = torch.cat([double(*(one[i : i + 1] for one in exact)) for i in range(3)])
    torch.testing.assert_close(together, apart, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(layer(*given).double(), together, rtol=1e-4, atol=1e-5)


def test_input_and_every_weight_receive_a_gradient_and_nothing_changes_in_place(name: str) -> None:
    layer = _made(name).eval()
    given = [one.requires_grad_() for one in _given(name)]
    before = [one.detach().clone() for one in given]
    layer(*given).square().sum().backward()
    for tensor in (*given, *layer.parameters()):
        assert tensor.grad is not None
        assert tensor.grad.isfinite().all()
        assert tensor.grad.abs().max() > 0
    assert all(torch.equal(one, old) for one, old in zip(given, before, strict=True))


def test_it_exports_with_any_number_of_images(name: str) -> None:
    layer, batch = _made(name).eval(), torch.export.Dim("batch", min=1, max=64)
    # *maps is one argument of the program, a tuple.
    several = len(_EXAMPLES[name][1]) > 1
    shapes = tuple({0: batch} for _ in _EXAMPLES[name][1])
    program = torch.export.export(layer, _given(name), dynamic_shapes=(shapes,) if several else shapes)
    nine = _given(name, 9)
    torch.testing.assert_close(program.module()(*nine), layer(*nine))


def test_it_says_where_it_comes_from(name: str) -> None:
    assert inspect.getdoc(getattr(layers, name))
    assert repr(_made(name)).startswith(name)
