"""Operators of torch and of ONNX compute the same."""

from __future__ import annotations

import io
import operator
from collections.abc import Callable

import numpy as np
import onnxruntime
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from striate.core.errors import ModelError
from striate.exporting import translation
from striate.exporting.graph import Graph
from striate.exporting.operators import UntranslatedError
from striate.exporting.translation import add_network, record


class Of(nn.Module):
    """A network without weights."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self._function = function

    def forward(self, x: Tensor) -> Tensor:
        return self._function(x)


def translated(network: nn.Module, x: Tensor) -> bytes:
    graph = Graph()
    program = record(network, torch.zeros(2, *x.shape[1:]))
    (result,) = add_network(graph, program, graph.input("x", np.float32, ("n", *x.shape[1:])))
    graph.output("y", result, np.float32, ("n", *network(x).shape[1:]))
    return graph.model({}).SerializeToString()


def answers(network: nn.Module, x: Tensor) -> np.ndarray:
    options = onnxruntime.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 3, 1
    return np.asarray(onnxruntime.InferenceSession(translated(network, x), options).run(None, {"x": x.numpy()})[0])


def in_place_and_read_again(x: Tensor) -> Tensor:
    x = x * 2
    y = x.relu_()
    return x + y


def written_as_a_view(x: Tensor) -> Tensor:
    y = x.flatten(1).mul(3)
    y.view(-1, *x.shape[1:]).relu_()
    return y


LEAST = torch.linspace(-1, 1, 4).reshape(4, 1, 1)
WEIGHTS = torch.linspace(-1, 1, 32).reshape(1, 4, 2, 4)

CASES: dict[str, Callable[[Tensor], Tensor]] = {
    "maximum, rounded up": lambda x: F.max_pool2d(x, 3, 2, 1, ceil_mode=True),
    "maximum, no window beyond the border": lambda x: F.max_pool2d(x, 1, 3, ceil_mode=True),
    "mean, rounded up": lambda x: F.avg_pool2d(x, 2, 2, ceil_mode=True),
    "mean with padding": lambda x: F.avg_pool2d(x, 3, 2, 1),
    "mean without padding": lambda x: F.avg_pool2d(x, 3, 2, 1, count_include_pad=False),
    "sum": lambda x: F.avg_pool2d(x, 2, divisor_override=1),
    "adaptive": lambda x: F.adaptive_avg_pool2d(x[:, :, :8], (4, 3)),
    "local response": lambda x: F.local_response_norm(x, 3),
    "in place": in_place_and_read_again,
    "same padding": lambda x: F.conv2d(x, WEIGHTS, padding="same"),
    "parts": lambda x: torch.cat([part * (i + 1) for i, part in enumerate(x.split([1, 3], 1))], 1),
    "slices": lambda x: x[:, 1:, ::2, :-1],
    "padding": lambda x: F.pad(x, (1, 2, 0, 1), value=2.0) + F.pad(x, (1, 2, 0, 1), mode="reflect"),
    "activations": lambda x: F.gelu(x) + F.silu(x) + F.elu(x) + F.leaky_relu(x, 0.2) + F.relu6(x) + F.hardtanh(x),
    "clipping": lambda x: x.clamp(min=0.1) + x.clamp(max=0.3) + F.hardsigmoid(x) + F.hardswish(x),
    "statistics": lambda x: x.mean((2, 3), keepdim=True) * x.sum(1, keepdim=True) - x.square().mean(),
    "norm": lambda x: F.layer_norm(x.permute(0, 2, 3, 1), (4,)).transpose(1, 3),
    "arithmetic": lambda x: (1 - x) / (2 + x.abs()).rsqrt() + torch.sub(x, x.exp(), alpha=2) ** 2,
    "comparisons": lambda x: (x < 0.5).float() + (x >= x.mean(1, keepdim=True)).double().sum(1, keepdim=True).float(),
    "shapes": lambda x: x.reshape(-1, 2, 2, 9, 12).unsqueeze(1).squeeze(1).flatten(2),
    "greatest of the map": lambda x: F.adaptive_max_pool2d(x, (3, 4)),
    "masks": lambda x: x * (x > 0) + torch.cat([x < 1, x], 1).sum(1, keepdim=True),
    "counts": lambda x: (x > 0).sum(1).float() / (1 + (x > 1).sum(1)) + torch.exp((x > 0).long()).sum(1),
    "types": lambda x: (
        (x.long() < 0.5).float()
        + (x.long() <= x).float()
        + x.softmax(1, dtype=torch.float64).sum(1, keepdim=True).add(1).float()
    ),
    "probabilities": lambda x: torch.log_softmax(x.flatten(1), 1) + torch.softmax(x.flatten(1), 1),
}


@pytest.mark.parametrize("name", CASES)
def test_an_operator_computes_what_torch_does(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(translation, "_by_torch")
    x = torch.randn(3, 4, 9, 12)
    np.testing.assert_allclose(answers(Of(CASES[name]), x), CASES[name](x).numpy(), rtol=1e-5, atol=1e-5)


def without_gradients(x: Tensor) -> Tensor:
    with torch.enable_grad():
        y = x * 2
    return y + 1


def outside_of_autocast(x: Tensor) -> Tensor:
    with torch.autocast("cpu", enabled=False):
        return x.float().relu()


LEFT: dict[str, tuple[Callable[[Tensor], Tensor], str]] = {
    "bounds of its own for each channel": (lambda x: torch.clamp(x, min=LEAST), "aten.clamp.Tensor"),
    "greatest of the map, and its place": (
        lambda x: torch.add(*F.adaptive_max_pool2d(x, 1, return_indices=True)),
        "result 2 of aten.adaptive_max_pool2d.default",
    ),
    "32-bit whole numbers": (lambda x: x.int().float(), "values of torch.int32"),
    "short floating numbers": (lambda x: x.to(torch.bfloat16).float(), "values of torch.bfloat16"),
    "both conditions": (lambda x: ((x > 0) * (x < 1)).float(), "aten.mul.Tensor of truth values"),
    "the number of images": (lambda x: x * x.shape[0] / x.shape[0], "aten.sym_size.int, the number of images"),
    "bounded by the number of images": (
        lambda x: x.clamp(max=x.shape[0] - 2),
        f"{operator.sub}, the number of images",
    ),
    "a part with gradients": (without_gradients, "wrap_with_set_grad_enabled"),
    "a part without autocast": (outside_of_autocast, "wrap_with_autocast"),
}


@pytest.mark.parametrize("name", LEFT)
def test_what_torch_translates_computes_the_same(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    reasons: list[str] = []
    by_torch = translation._by_torch

    def noted(program: torch.export.ExportedProgram, reason: str) -> object:
        reasons.append(reason)
        return by_torch(program, reason)

    monkeypatch.setattr(translation, "_by_torch", noted)
    function, reason = LEFT[name]
    x = torch.randn(3, 4, 9, 12)
    np.testing.assert_allclose(answers(Of(function), x), function(x).numpy(), rtol=1e-5, atol=1e-5)
    assert reasons == [reason]
    program = io.BytesIO()
    torch.export.save(record(Of(function), x[:2]), program)
    for written in (translated(Of(function), x), program.getvalue()):
        assert __file__.encode() not in written


def test_what_is_not_translated_is_left_to_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    reasons: list[str] = []

    def noted(program: object, reason: str) -> None:
        reasons.append(reason)
        raise UntranslatedError

    monkeypatch.setattr(translation, "_by_torch", noted)
    for function in (written_as_a_view, lambda x: torch.cumsum(x, 1)):
        with pytest.raises(UntranslatedError):
            answers(Of(function), torch.randn(2, 4, 9, 12))
    assert reasons == ["aten.relu_.default on a view", "aten.cumsum"]


def test_a_network_that_depends_on_values_is_refused() -> None:
    with pytest.raises(ModelError, match="cannot be exported"):
        record(Of(lambda x: x if x.sum() > 0 else -x), torch.zeros(2, 4, 9, 12))
