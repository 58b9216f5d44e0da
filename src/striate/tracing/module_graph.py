"""The graph of a network: which module reads the output of which."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from torch import nn

from striate.core.protocols import LayerRole, role_of
from striate.tracing.recorder import Entered, ModuleCall, Operation, Recorder, Shape, Value

INPUT = -1
"""The start of edges from the input of the network, or of the part of it that is drawn."""


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
    """Draw the graph of `model`, or of its module at path `within`, for images of `shape` (c, h, w).

    The nodes are the modules without modules inside them, and those marked as a unit (`LayerRole.UNIT`). Functions
    between modules (a flattening, a sum written as `+`) are no nodes: edges pass through them. A module that returns
    its input, as dropout in eval mode, or no tensor is none either. A module that has several paths is at the first of
    them. The pass is that of eval mode, on the meta device; `model` and its hooks neither run nor change.
    """
    modules = dict(model.named_modules())
    paths = {module: path for path, module in modules.items()}
    part = model.get_submodule(within)
    drawing = _Drawing(paths[part], {paths[node] for node in _nodes(part)})
    for event in Recorder.of(model, shape).events:
        if isinstance(event, Operation):
            drawing.pass_through(event)
        elif isinstance(event, Entered):
            drawing.enter(event.call)
        else:
            drawing.leave(event.call)
    nodes = tuple(Node(path, modules[path], shape) for path, shape in drawing.nodes)
    return Graph(nodes, tuple(drawing.edges))


def _nodes(module: nn.Module) -> Iterator[nn.Module]:
    """List the modules in `module` that are nodes."""
    children = list(module.children())
    if not children or role_of(module) is LayerRole.UNIT:
        yield module
    else:
        for child in children:
            yield from _nodes(child)


class _Drawing:
    """Tracks from which nodes each value comes."""

    def __init__(self, part: str, shown: set[str]) -> None:
        self.nodes: list[tuple[str, Shape]] = []
        self.edges: list[tuple[int, int]] = []
        self._part, self._shown = part, shown
        self._sources: dict[Value, frozenset[int]] = {}
        self._following = False
        self._inside: frozenset[int] | None = None  # the sources of the node that runs

    def enter(self, call: ModuleCall) -> None:
        if call.path == self._part:
            self._following = True
            self._sources |= dict.fromkeys(call.inputs, frozenset({INPUT}))
        if call.path in self._shown:
            self._inside = self._of(call.inputs)

    def leave(self, call: ModuleCall) -> None:
        if call.path in self._shown:
            sources, self._inside = self._inside or frozenset(), None
            returned = {id(value.tensor) for value in call.outputs} & {id(value.tensor) for value in call.inputs}
            if returned:
                self._sources |= dict.fromkeys(call.outputs, sources)
            elif self._following and call.outputs:
                number = len(self.nodes)
                self.nodes.append((call.path, tuple(call.outputs[0].shape[1:])))
                self.edges += [(source, number) for source in sorted(sources)]
                self._sources |= dict.fromkeys(call.outputs, frozenset({number}))
        if call.path == self._part:
            self._following = False

    def pass_through(self, operation: Operation) -> None:
        if self._following and self._inside is None:
            self._sources |= dict.fromkeys(operation.results, self._of(operation.inputs))

    def _of(self, values: Iterable[Value]) -> frozenset[int]:
        nothing: frozenset[int] = frozenset()
        return nothing.union(*(self._sources.get(value, nothing) for value in values))
