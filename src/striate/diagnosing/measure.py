"""Measure the health of each layer with weights: its activations, the gradient that reaches it, and its last update."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from striate.core.errors import ModelError
from striate.diagnosing.layers import LayerHealth
from striate.diagnosing.thresholds import FLAT
from striate.hooks import borrow, eager, eagerly, operation

# For each activation function, by its output: where its slope is at least `FLAT` of the steepest. A GELU, SiLU or
# hardswish counts by its value, because its slope is no function of the output: a unit whose outputs all lie within
# 0.01 of zero is dead. Some take options of the call, in the order of `_OPTIONS`.
_PASSES: Mapping[str, Callable[..., Tensor]] = {
    "relu": lambda y: y > 0,
    "relu6": lambda y: (y > 0) & (y < 6),
    "elu": lambda y, alpha: y + alpha > FLAT * max(1.0, alpha),
    "softplus": lambda y, beta: beta * y > FLAT,
    **dict.fromkeys(("gelu", "silu", "mish", "hardswish"), lambda y: y.abs() > 0.01),
    "sigmoid": lambda y: y * (1 - y) >= FLAT / 4,
    "hardsigmoid": lambda y: (y > 0) & (y < 1),
    "tanh": lambda y: 1 - y * y >= FLAT,
    "hardtanh": lambda y, low, high: (y > low) & (y < high),
    **dict.fromkeys(("leaky_relu", "prelu", "rrelu", "selu", "celu"), lambda y: torch.ones_like(y, dtype=torch.bool)),
}
# The arguments after the first one, with their defaults.
_OPTIONS: Mapping[str, Mapping[str, float]] = {
    "elu": {"alpha": 1.0},
    "softplus": {"beta": 1.0},
    "hardtanh": {"min_val": -1.0, "max_val": 1.0},
}
_BOUNDED = ("sigmoid", "hardsigmoid", "tanh", "hardtanh")


def layer_health(
    model: nn.Module, loss: Callable[[nn.Module], Tensor], *, updates: Mapping[str, float] | None = None
) -> tuple[LayerHealth, ...]:
    """Measure each layer of `model` with weights, in the order in which they run.

    Layers are modules with a parameter `weight` of two dimensions or more: convolutions and linear layers of any class.
    The model runs once forward and once backward, in evaluation mode, so that dropout is off and batch norms use their
    running statistics. Afterwards it is as found: weights, buffers, `.grad`, modes, and torch's random state.

        health = layer_health(model, lambda network: F.cross_entropy(network(images), targets))

    Args:
        model: any network.
        loss: a function of the network that returns its loss, a single number, on some images. The more images, the
            fewer units look dead that respond to rare images only.
        updates: the norm of the last update of each layer's weights, relative to theirs, by the layer's path.

    Raises:
        ModelError: the model has no such layer, none of them ran, or the loss is no tensor of one number.
    """
    network = eager(model)
    layers = weighted(network)
    if not layers:
        raise ModelError("The network has no convolution and no linear layer, so there is no layer to measure.")
    watch = _Watch()
    with borrow(network), _hooked(layers, watch):
        weights = {path: module.weight for path, module in layers.items()}
        for weight in weights.values():
            weight.requires_grad_(True)
        with eagerly(), watch:
            value: object = loss(model)
        if not isinstance(value, Tensor) or value.numel() != 1:
            given = f"a tensor {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
            raise ModelError(f"The loss must return a tensor of one number, such as a mean; it returned {given}.")
        gradients = torch.autograd.grad(value, list(weights.values()), allow_unused=True)
    found = dict(zip(weights, gradients, strict=True))
    if not watch.seen:
        raise ModelError("None of the network's layers ran: the loss must call the network that it receives.")
    return tuple(
        seen.health(path, layers[path].weight, found[path], (updates or {}).get(path))
        for path, seen in watch.seen.items()
    )


def weighted(model: nn.Module) -> dict[str, Any]:
    """Return the layers that `layer_health` measures, by their paths."""
    found = {}
    for path, module in eager(model).named_modules():
        weight = module._parameters.get("weight")
        if weight is not None and weight.ndim > 1 and weight.is_floating_point():
            found[path] = module
    return found


@dataclass
class _Seen:
    """Observations of one layer in a forward and a backward pass."""

    units: int = 0
    dimension: int = 0
    mean: float = 0.0
    std: float = 0.0
    signal: list[Tensor] = field(default_factory=list)
    activation: str | None = None
    dead: float | None = None
    saturated: float | None = None

    def health(self, path: str, weight: Tensor, gradient: Tensor | None, update: float | None) -> LayerHealth:
        squares = sum(float(square) for square in self.signal)
        return LayerHealth(
            name=path,
            units=self.units,
            mean=self.mean,
            std=self.std,
            activation=self.activation,
            dead=self.dead,
            saturated=self.saturated,
            signal=squares**0.5 if self.signal else None,
            gradient=0.0 if gradient is None else float(gradient.double().norm()),
            weight=float(weight.detach().double().norm()),
            update=update,
        )


class _Watch(TorchFunctionMode):
    """Observe the activation function that follows each layer; `seen` are the layers in the order in which they ran."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: dict[str, _Seen] = {}
        self._last: _Seen | None = None

    def output(self, path: str, module: nn.Module, value: Tensor) -> None:
        """Observe the output of the layer `module` at `path`, and the gradient that will reach it."""
        seen = self._last = self.seen.setdefault(path, _Seen())
        with torch._C.DisableTorchFunction():
            flat = value.detach().float()
            seen.dimension = _unit_dimension(module, value)
            seen.units = value.shape[seen.dimension]
            seen.mean, seen.std = float(flat.mean()), float(flat.std(correction=0))
            if value.requires_grad:
                value.register_hook(lambda gradient: seen.signal.append(gradient.detach().float().square().sum()))

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        output = func(*args, **kwargs)
        name = operation(func, args, kwargs)
        seen = self._last
        if seen is not None and seen.activation is None and name in _PASSES and not _is_gate(output, seen):
            options = [
                args[place] if place < len(args) else kwargs.get(option, default)
                for place, (option, default) in enumerate(_OPTIONS.get(name, {}).items(), start=1)
            ]
            passes = _PASSES[name](output.detach(), *options)
            seen.activation = name
            units = _units_in(output, seen)
            others = [dimension for dimension in range(passes.ndim) if dimension != units]
            seen.dead = 1.0 - float(passes.any(dim=others).float().mean())
            seen.saturated = 1.0 - float(passes.float().mean()) if name in _BOUNDED else None
        return output


def _unit_dimension(module: Any, output: Tensor) -> int:
    """Return the dimension of channels: that before height and width for a convolution, the last for a linear layer."""
    spatial = 0 if isinstance(module, nn.Bilinear) else module.weight.ndim - 2
    return (output.ndim - 1 - spatial) % output.ndim


def _units_in(output: Tensor, seen: _Seen) -> int:
    """Return the dimension of the layer's channels in the output of its activation function, which may be permuted."""
    same = min(seen.dimension, output.ndim - 1)
    alike = [dimension for dimension in range(1, output.ndim) if output.shape[dimension] == seen.units]
    return same if same in alike or not alike else alike[0]


def _is_gate(output: Tensor, seen: _Seen) -> bool:
    """Return whether an activation weights channels (squeeze and excitation): it may well be fully open or closed."""
    units = _units_in(output, seen)
    within = [size for dimension, size in enumerate(output.shape) if dimension not in (0, units)]
    # A single token, (n, 1, c), is no gate.
    return bool(within) and (units == 1 or output.ndim > 3) and set(within) == {1}


@contextmanager
def _hooked(layers: Mapping[str, nn.Module], watch: _Watch) -> Iterator[None]:
    with ExitStack() as stack:
        for path, module in layers.items():

            def end(module: nn.Module, given: Any, output: Any, path: str = path) -> None:
                if isinstance(output, Tensor):
                    watch.output(path, module, output)

            stack.callback(module.register_forward_hook(end).remove)
        yield
