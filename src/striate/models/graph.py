"""What reads what in a network: its modules as the nodes of a graph, found by following one pass without data."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from striate.layers import SeparableConv2d, SqueezeExcitation
from striate.models._meta import shadow
from striate.models._operations import arguments
from striate.models._shapes import sketched
from striate.models._trace import Shape, floating_type

_AS_ONE = (SeparableConv2d, SqueezeExcitation)

INPUT = -1
"""Where an edge begins that brings what the network, or the part of it that is drawn, is given."""


@dataclass(frozen=True)
class Node:
    """One call of a module; `output_shape` is without the batch."""

    path: str
    module: nn.Module
    output_shape: Shape


@dataclass(frozen=True)
class Graph:
    """The calls in their order, and the edges between them: (from, to), by their numbers."""

    nodes: tuple[Node, ...]
    edges: tuple[tuple[int, int], ...]


def graph(model: nn.Module, shape: tuple[int, int, int], *, within: str = "") -> Graph:
    """The graph of `model`, or of the module at path `within`, for pictures of `shape` (c, h, w).

    The nodes are the modules without modules inside them, and those that stand as one. What works between
    modules (a flattening, a sum written as `+`) is no node; what goes through it goes on. A module that gives back the
    very tensor that it was given, as dropout in use does, is none either. The pass is that of eval mode, on the meta
    device; `model` and its hooks neither run nor change.
    """
    network = shadow(model)
    followed = _Followed()
    part = network.get_submodule(within)
    part.register_forward_pre_hook(lambda module, given: followed.begin(given))
    part.register_forward_hook(lambda module, given, output: followed.end())
    for path, module in _shown(part, within):
        module.register_forward_pre_hook(lambda module, given: followed.enter(given))
        module.register_forward_hook(followed.leave(path))
    with torch.no_grad(), followed:
        network(torch.empty(1, *shape, device="meta", dtype=floating_type(network)))
    originals = dict(model.named_modules())
    nodes = tuple(Node(path, originals[path], shape) for path, shape in followed.nodes)
    return Graph(nodes, tuple(followed.edges))


def _shown(module: nn.Module, path: str) -> Iterable[tuple[str, nn.Module]]:
    """The modules under `path` that are nodes."""
    children = list(module.named_children())
    if not children or isinstance(module, _AS_ONE):
        yield path, module
        return
    for name, child in children:
        yield from _shown(child, f"{path}.{name}" if path else name)


class _Followed(TorchDispatchMode):
    """Knows of each tensor which nodes it comes from."""

    def __init__(self) -> None:
        super().__init__()
        self.nodes: list[tuple[str, Shape]] = []
        self.edges: list[tuple[int, int]] = []
        # By identity; the tensors are kept, so that none takes another's place.
        self._known: dict[int, tuple[Tensor, frozenset[int]]] = {}
        self._following = False
        self._inside: frozenset[int] | None = None

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # else torch's compiler is loaded to be told to keep out

    def begin(self, given: tuple[Any, ...]) -> None:
        self._following = True
        for tensor in _tensors(given):
            self._set(tensor, frozenset({INPUT}))

    def end(self) -> None:
        self._following = False

    def enter(self, given: tuple[Any, ...]) -> None:
        self._inside = self._sources(_tensors(given))

    def leave(self, path: str) -> Any:
        """A hook for the end of the module at `path`."""

        def note(module: nn.Module, given: tuple[Any, ...], output: Any) -> None:
            sources, self._inside = self._inside or frozenset(), None
            outputs, inputs = _tensors((output,)), _tensors(given)
            if not self._following or any(one is other for one in outputs for other in inputs):
                return
            number = len(self.nodes)
            self.nodes.append((path, tuple(outputs[0].shape[1:])))
            self.edges += [(source, number) for source in sorted(sources)]
            for tensor in outputs:
                self._set(tensor, frozenset({number}))

        return note

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = arguments(func, args, kwargs or {})
        output = sketched(func, given)
        if output is None:
            output = func(*args, **(kwargs or {}))
        if self._following and self._inside is None:
            sources = self._sources(_tensors(given.values()))
            for tensor in _tensors(output if isinstance(output, (tuple, list)) else (output,)):
                self._set(tensor, sources)
        return output

    def _sources(self, tensors: Iterable[Tensor]) -> frozenset[int]:
        nothing: frozenset[int] = frozenset()
        return nothing.union(*(self._known[id(tensor)][1] for tensor in tensors if id(tensor) in self._known))

    def _set(self, tensor: Tensor, sources: frozenset[int]) -> None:
        self._known[id(tensor)] = tensor, sources


def _tensors(values: Iterable[Any]) -> list[Tensor]:
    found = []
    for value in values:
        if isinstance(value, Tensor):
            found.append(value)
        elif isinstance(value, (list, tuple)):
            found += _tensors(value)
    return found
