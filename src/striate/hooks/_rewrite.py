"""Change the gradient that the ReLUs of a network pass backward, however they are named and called."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from striate.hooks._autograd import (
    COPY_SLICES,
    POOLS,
    Node,
    Rectified,
    Visit,
    kind,
    linear,
    plain_name,
    rectified,
    visits,
)
from striate.hooks._compiled import eager, eagerly, scripted, watching
from striate.hooks._names import in_place, operation
from striate.hooks._rules import NoRectifierError, RewriteError, Rule

_BACKWARD = (Tensor.backward, torch.autograd.backward, torch.autograd.grad)
# Activations to find in the graph even if they change a part of a map in place.
_RECTIFIERS = ("relu", "relu6", "hardtanh", "threshold", "clamp", "clamp_min", "leaky_relu", "elu", "selu", "silu")
_MOVES = ("add", "copy", "fill", "setitem", "sub", "zero")


@dataclass
class Rewritten:
    """Counts of the operations that followed the rule; each is counted once, in the first backward pass that meets it.

    `counts`: the operations by name that passed the gradient by the rule: rectifiers, and max-pooling by its switches.
    `unruled`: all other non-linear operations, which passed their plain gradient, whatever the rule would mean there.
    """

    rule: Rule
    counts: Counter[str] = field(default_factory=Counter)
    unruled: Counter[str] = field(default_factory=Counter)

    def __str__(self) -> str:
        """Return one line: `guided: relu 8, max_pool2d 5; with their plain gradient: sigmoid 2`."""
        line = f"{self.rule.name}: {_listed(self.counts)}"
        return f"{line}; with their plain gradient: {_listed(self.unruled)}" if self.unruled else line


@contextmanager
def rewrite(model: nn.Module, rule: Rule) -> Iterator[Rewritten]:
    """Within the block, make backward passes through `model` follow `rule`.

        with rewrite(model, GUIDED) as rewritten:
            score = model(images)[:, 3].sum()
            gradient, = torch.autograd.grad(score, images)

    The rule holds for each of these operations between the score and the image, as autograd recorded it: relu, relu6
    and hardtanh, threshold, clamp and maximum with 0, leaky_relu, elu (and selu, which is one), silu, gelu; in place or
    not, as function, method or module, used once or often. For hardtanh and threshold, "active" is where their own
    gradient passes, for a clamp with a ceiling where a also lies below it. max_pool1d to max_pool3d and the adaptive
    ones pass by their switches (1d is counted as 2d, because torch computes it so). All other operations pass their
    plain gradient (see `Rule`); those that are not linear, or not known to be, are counted in `unruled`. Operations on
    the logits and on the way to the image lie outside the model and are left alone.

    Make forward passes and backward passes both within the block, the former by calling `model` itself. Compiled
    regions run as the Python they were compiled from. The rewritten gradient is not the gradient of a function: do not
    differentiate it again.

    Raises:
        RewriteError: before any gradient is computed, if the network has a scripted region, a custom autograd function
            or another hidden backward, or nothing that rectifies; and at the block's end, if it contained no backward
            pass.
    """
    network = eager(model)
    for path in scripted(network):
        region = f"module {path!r} of the network" if path else "the network"
        raise RewriteError(
            f"The {rule.name} rule cannot enter a scripted region, and {region} is one: "
            f"use the network before scripting."
        )
    rewriting = _Rewriting(network, rule)
    try:
        with eagerly(), watching(network, rewriting.begin, rewriting.end), rewriting:
            yield rewriting.result
        if not rewriting.passes:
            raise RewriteError(
                f"The {rule.name} rule needs a backward pass in the block; there was none: "
                f"call backward() or torch.autograd.grad within it."
            )
    finally:
        rewriting.remove()


class _Rewriting(TorchFunctionMode):
    """Intercept each backward pass before it starts, and hook the nodes of the graph that it will pass."""

    def __init__(self, network: nn.Module, rule: Rule) -> None:
        super().__init__()
        self.result = Rewritten(rule)
        self.passes = 0
        tensors = list(chain(network.parameters(), network.buffers()))
        self._parameters = {id(tensor) for tensor in tensors}
        self._weights = {tensor.untyped_storage().data_ptr() for tensor in tensors}
        self._forwards: list[range] = []
        self._began: int | None = None
        self._changed_in_place: dict[int, str] = {}  # by a node's number, the operation that changed a part of a map
        self._rectifies: dict[int, bool] = {}  # by the number of each node met, whether it is a rectifier
        self._handles: list[Any] = []

    def begin(self) -> None:
        self._began = _next_number()

    def end(self) -> None:
        if self._began is not None:
            self._forwards.append(range(self._began, _next_number()))
        self._began = None

    def remove(self) -> None:
        for handle in self._handles:
            handle.remove()

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func in _BACKWARD:
            self._prepare(_outputs(args, kwargs))
        elif self._began is not None and args and isinstance(args[0], Tensor) and in_place(func, kwargs):
            return self._change(func, args, kwargs)
        return func(*args, **kwargs)

    def _change(self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run an operation that works in place, so that the graph shows it.

        Where a view is changed, autograd records only that a part of its base was changed. A rectifier therefore works
        on a copy, which is then written to the view; for all others the name of the operation is noted.
        """
        name, target = operation(function, args, kwargs), args[0]
        if target._is_view() and target.requires_grad and name in _RECTIFIERS:
            result = target.copy_(function(target.clone(), *args[1:], **kwargs))
            name = "copy"
        else:
            result = function(*args, **kwargs)
        node = (target._base if target._is_view() else target).grad_fn
        if node is not None and node.name() == COPY_SLICES:
            self._changed_in_place.setdefault(node._sequence_nr(), name)
        return result

    def _prepare(self, outputs: list[Tensor]) -> None:
        """Add hooks to the nodes that a backward pass from `outputs` will meet for the first time."""
        walked = [visit for visit in visits(outputs, self._parameters) if self._inside(visit.number)]
        readings = [(visit, self._read(visit)) for visit in walked if visit.number not in self._rectifies]
        for visit, reading in readings:
            self._rectifies[visit.number] = reading is not None
            if reading is not None:
                self._handles.append(visit.node.register_hook(_passing(self.result.rule, reading)))
        if not any(self._rectifies[visit.number] for visit in walked):
            unruled = f" Non-linear, but without a rule: {_listed(self.result.unruled)}." if self.result.unruled else ""
            raise NoRectifierError(
                f"The {self.result.rule.name} rule found no ReLU, nor a similar activation, between the score and "
                f"the image: the map would be the plain gradient.{unruled} "
                f"Is the score computed by calling the model within the block?",
                self.result.unruled,
            )
        self.passes += 1

    def _inside(self, number: int) -> bool:
        """Whether a node was made by a forward pass of the model in the block."""
        return any(number in forward for forward in self._forwards)

    def _read(self, visit: Visit) -> Rectified | None:
        """Count a node of the model; return its rectifier, if it follows the rule."""
        node: Node = visit.node
        if node.name() == COPY_SLICES:
            name = self._changed_in_place.get(visit.number)
            if name is None:
                raise RewriteError(
                    "The network changes a part of a map in place in a hidden operation: use it unscripted."
                )
            if name not in _MOVES:
                self.result.unruled[name] += 1
            return None
        operation = kind(node)
        reading = rectified(node, operation, self.result.rule.gated)
        if reading is not None:
            self.result.counts[reading.name] += 1
        elif operation in POOLS:
            self.result.counts[POOLS[operation]] += 1
        elif not linear(node, operation, visit.varies, self._weights):
            self.result.unruled[plain_name(operation)] += 1
        return reading


def _next_number() -> int:
    """Return the number that autograd will give to its next node on this thread."""
    return torch._C._autograd._get_sequence_nr()  # pyright: ignore[reportAttributeAccessIssue]


def _passing(rule: Rule, reading: Rectified) -> Callable[..., Any]:
    """Return a hook for a rectifier's node: it takes the plain gradients and returns those of the rule."""

    def passing(plain: tuple[Tensor | None, ...], arrived: tuple[Tensor | None, ...]) -> Any:
        gradient, own = arrived[0], plain[reading.edge]
        if gradient is None or own is None:
            return None
        return (*plain[: reading.edge], reading.gradient(rule, gradient, own), *plain[reading.edge + 1 :])

    return passing


def _outputs(args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Tensor]:
    """Return the tensors from which a backward pass starts: its first argument, by any name."""
    given = args[0] if args else kwargs.get("outputs", kwargs.get("tensors", kwargs.get("self")))
    return [given] if isinstance(given, Tensor) else [item for item in given or () if isinstance(item, Tensor)]


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items()) or "nothing"
