"""A walk through what autograd has written down of a forward pass."""

from __future__ import annotations

from collections.abc import Iterable, Set
from dataclasses import dataclass

from torch import Tensor

from striate.hooks._nodes import Node

_LEAF = "torch::autograd::AccumulateGrad"


@dataclass(frozen=True)
class Visit:
    """A node, the number that autograd gave it, and which of its inputs depend on a leaf other than a parameter."""

    node: Node
    number: int
    varies: tuple[bool, ...]


def visits(outputs: Iterable[Tensor], parameters: Set[int]) -> list[Visit]:
    """The nodes behind `outputs` that depend on the picture, or on whatever else is differentiated, oldest first.

    `parameters` are the ids of the tensors that are none of it.
    """
    met = _behind(outputs)
    depends = {node: id(node.variable) not in parameters for node in met if node.name() == _LEAF}
    walked: list[Visit] = []
    # Autograd numbers nodes as they are made, so every node comes after those whose results it was given.
    for node in sorted((node for node in met if node not in depends), key=lambda node: node._sequence_nr()):
        varies = tuple(depends.get(before, False) for before, _ in node.next_functions)
        depends[node] = any(varies)
        if depends[node]:
            walked.append(Visit(node, node._sequence_nr(), varies))
    return walked


def _behind(outputs: Iterable[Tensor]) -> set[Node]:
    """Every node that a backward pass from `outputs` may reach."""
    waiting = [output.grad_fn for output in outputs if output.grad_fn is not None]
    met: set[Node] = set(waiting)
    while waiting:
        for before, _ in waiting.pop().next_functions:
            if before is not None and before not in met:
                met.add(before)
                waiting.append(before)
    return met
