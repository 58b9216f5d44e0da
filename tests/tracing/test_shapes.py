"""The shapes that are computed without torch, compared with torch's own on its meta device."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as some
from torch import Tensor
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from striate.tracing.operations import arguments, aten
from striate.tracing.shapes import _RULES, infer


class Compare(TorchDispatchMode):
    """Asks both for each operation, and counts those for which there is a rule."""

    def __init__(self) -> None:
        super().__init__()
        self.ruled: set[Any] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        ours = infer(func, arguments(func, args, kwargs or {}))
        try:
            theirs = func(*args, **(kwargs or {}))
        except RuntimeError:
            assert ours is None, func  # what torch refuses has no shape
            raise
        if ours is not None:
            self.ruled.add(func)
            assert _forms(ours) == _forms(theirs), func
            if func in _ORDERED:
                assert _order(ours) == _order(theirs), func
        return theirs


# Rules that give the order in memory too; all others give contiguous memory.
_ORDERED = {
    *(function for function, rule in _RULES.items() if rule is _RULES[aten.relu.default]),
    *(aten.add.Tensor, aten.sub.Tensor, aten.mul.Tensor, aten.div.Tensor, aten.native_batch_norm.default),
}


def _order(output: Any) -> list[int]:
    """Steps in memory of the axes along which there is one."""
    first = output[0] if isinstance(output, tuple) else output
    return [step for step, side in zip(first.stride(), first.shape, strict=True) if side > 1]


def _forms(output: Any) -> list[tuple[Any, ...]]:
    outputs = output if isinstance(output, tuple) else (output,)
    return [(tuple(one.shape), one.dtype, one.device) for one in outputs]


def _map(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.empty(*shape, dtype=dtype, device="meta")


def _compare(work: Callable[[], object]) -> set[Any]:
    compared = Compare()
    with torch.no_grad(), compared:
        work()
    return compared.ruled


def _normed(x: Tensor, *, training: bool) -> Tensor:
    zero, one = _map(x.shape[1]), _map(x.shape[1])
    return F.batch_norm(x, zero, one, one, zero, training=training)


CASES: dict[str, Callable[[Tensor], object]] = {
    "activations": lambda x: [
        f(x)
        for f in (
            *(F.relu, F.relu6, F.leaky_relu, F.elu, F.silu, F.gelu),
            *(torch.sigmoid, torch.tanh, F.hardsigmoid, F.hardswish, F.hardtanh),
        )
    ],
    "in place": lambda x: [F.relu(x, inplace=True), F.relu6(x, inplace=True), F.silu(x, inplace=True)],
    "sums and products": lambda x: [x + x, x * x, x - 2, x / 3, 2 * x, x * x.mean((2, 3), keepdim=True), -x],
    "powers": lambda x: [x**2, x.sqrt(), x.rsqrt()],
    "concatenation": lambda x: [torch.cat([x, x], 1), torch.cat([x, x[:, :1]], dim=-3)],
    "means": lambda x: [x.mean((2, 3)), x.mean(1, keepdim=True), F.adaptive_avg_pool2d(x, 1)],
    "adaptive pooling": lambda x: F.adaptive_avg_pool2d(x, (3, 2)),
    "norms": lambda x: [
        *(_normed(x, training=training) for training in (True, False)),
        F.layer_norm(x.permute(0, 2, 3, 1), (x.shape[1],)),
    ],
    "local response": lambda x: F.local_response_norm(x, 5),
    "products": lambda x: [F.linear(x.flatten(1), _map(5, x[0].numel()), _map(5)), F.linear(x, _map(2, x.shape[3]))],
    "batched products": lambda x: [
        torch.bmm(x[:, 0], x[:, 1].mT),
        torch.baddbmm(_map(2, 9, 9), x[:, 0], x[:, 1].mT),
        x[0, 0] @ x[0, 1].mT,
    ],
    "convolution in one and three dimensions": lambda x: [
        F.conv1d(x.flatten(2), _map(4, 3, 5)),
        F.conv3d(x[:, :, None], _map(4, 3, 1, 3, 3)),
        F.avg_pool3d(x[:, :, None], (1, 2, 2)),
    ],
}


@pytest.mark.parametrize("case", list(CASES))
def test_they_are_those_that_torch_gives(case: str) -> None:
    assert _compare(lambda: CASES[case](_map(2, 3, 9, 7)))
    assert _compare(lambda: CASES[case](_map(2, 3, 9, 7).to(memory_format=torch.channels_last)))
    assert _compare(lambda: CASES[case](_map(2, 3, 11, 18)[:, :, 1:-1, 2:-2:2]))


@pytest.mark.parametrize(
    "cut",
    [
        lambda x: x[:, :, 1:-1, 1:-1],
        lambda x: x[:, :, ::2, ::2],
        lambda x: x.to(memory_format=torch.channels_last)[..., 1:-1],
        lambda x: x.chunk(2, dim=3)[0],
        lambda x: x[:, :, :1].expand(-1, -1, 4, -1),
        lambda x: x[:, :, :1, :1].expand(2, 3, 4, 5),
        lambda x: x.unfold(2, 3, 1),
        lambda x: x.permute(0, 2, 3, 1),
    ],
)
def test_memory_lies_as_torch_lays_it(cut: Callable[[Tensor], Tensor]) -> None:
    part = cut(_map(2, 3, 9, 8))
    gate = _map(*(side if axis == 1 else 1 for axis, side in enumerate(part.shape)))
    _compare(lambda: [part.relu(), part + part, part * 2, part * gate, gate * part, part * part.contiguous()])
    if part.ndim == 4:
        _compare(lambda: _normed(part, training=False))


def test_every_rule_is_compared() -> None:
    seen = set[Any]()
    for case in CASES.values():
        seen |= _compare(lambda case=case: case(_map(2, 3, 9, 7)))
    seen |= _compare(lambda: F.conv2d(_map(1, 3, 8, 8), _map(4, 3, 3, 3)))
    seen |= _compare(lambda: [F.max_pool2d(_map(1, 3, 8, 8), 2), F.avg_pool2d(_map(1, 3, 8, 8), 2)])
    assert seen == set(_RULES)


_side = some.integers(1, 12)


@settings(max_examples=200, deadline=None)
@given(
    size=some.tuples(_side, _side),
    kernel=some.tuples(some.integers(1, 5), some.integers(1, 5)),
    stride=some.integers(1, 4),
    padding=some.integers(0, 2),
    dilation=some.integers(1, 2),
    ceil=some.booleans(),
    groups=some.sampled_from([1, 2]),
)
def test_windows_slide_as_torch_lets_them(
    size: tuple[int, int],
    kernel: tuple[int, int],
    stride: int,
    padding: int,
    dilation: int,
    ceil: bool,
    groups: int,
) -> None:
    image = _map(1, 4, *size)

    with suppress(RuntimeError):
        _compare(lambda: F.conv2d(image, _map(6, 4 // groups, *kernel), None, stride, padding, dilation, groups))
    with suppress(RuntimeError):
        _compare(lambda: F.max_pool2d(image, kernel, stride, padding, dilation, ceil_mode=ceil))
    with suppress(RuntimeError):
        _compare(lambda: F.avg_pool2d(image, kernel, stride, padding, ceil_mode=ceil))


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: F.conv2d(_map(1, 3, 8, 8), _map(4, 2, 3, 3)),
        lambda: F.conv2d(_map(1, 3, 2, 2), _map(4, 3, 3, 3)),
        lambda: torch.cat([_map(1, 3, 8, 8), _map(1, 3, 7, 8)], 1),
        lambda: _map(1, 3, 8, 8) + _map(1, 3, 7, 8),
        lambda: F.linear(_map(2, 5), _map(3, 4)),
    ],
)
def test_shapes_that_do_not_fit_are_left_to_torchs_error(wrong: Callable[[], object]) -> None:
    with pytest.raises(RuntimeError):
        _compare(wrong)
