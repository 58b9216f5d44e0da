"""Layer behind layer: each gets its module, its name and its initial weights, and the ends of stages are noted."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Iterable

from jaxtyping import Float
from torch import Tensor, nn

from striate.layers import Add, he_, xavier_
from striate.models.notation.flow import Flow
from striate.models.notation.mistake import NotationError
from striate.models.notation.modules import module
from striate.models.notation.naming import Names
from striate.models.notation.tree import (
    Convolution,
    FullyConnected,
    Item,
    Layer,
    Plain,
    Repeated,
    Residual,
)
from striate.models.notation.words import ACTIVATIONS

_SATURATING = ("sigmoid", "tanh")  # the other activations are kin of ReLU, for which He's initial weights are meant


class ResidualBrackets(nn.Module):
    """The sum of what the body and the shortcut make of the same input."""

    def __init__(self, body: nn.Module, shortcut: nn.Module) -> None:
        super().__init__()
        self.body = body
        self.shortcut = shortcut
        self.add = Add()

    def forward(self, x: Float[Tensor, "n ..."]) -> Float[Tensor, "n ..."]:
        return self.add(self.body(x), self.shortcut(x))


class Assembly:
    """A network, or one branch of residual brackets, as it grows.

    `layers` are its modules by name, `flow` is what comes out of the last, `maps` are the ends of its stages: there are
    such where it is `staged`, which a branch is not.
    """

    def __init__(self, text: str, classes: int, flow: Flow, *, staged: bool) -> None:
        self.layers: OrderedDict[str, nn.Module] = OrderedDict()
        self.maps: dict[str, str] = {}
        self.flow = flow
        self._text = text
        self._classes = classes
        self._names = Names(staged=staged)
        self._paths: dict[int, str] = {}  # of the layers as they stand in the text, by identity
        self._uninitialised: nn.Module | None = None  # waits for what follows it
        self._end: str | None = None  # path of the last layer of the stage worth seeing

    def extend(self, items: Iterable[Item]) -> None:
        """Lay all items behind what is there.

        Raises:
            NotationError: one does not fit what it is given.
        """
        for item in items:
            match item:
                case Repeated():
                    for _ in range(item.times):
                        self.extend(item.items)
                case Residual():
                    self._append_residual(item)
                case _:
                    self._append(item)

    def finish(self) -> None:
        """Nothing follows any more."""
        self._initialise(xavier_)
        self._end_stage()

    def name_of(self, layer: Layer) -> str:
        """Return the path of a layer's module; of a repeated layer, the last."""
        return self._paths[id(layer)]

    def _append(self, layer: Layer) -> None:
        if isinstance(layer, FullyConnected) and self.flow.is_map:
            self._end_stage()
            self.layers["flatten"] = nn.Flatten()
            self.flow = Flow((math.prod(self.flow.shape),))
        made, after = module(self._text, layer, self.flow, self._classes)
        if after.stride != self.flow.stride or after.is_map != self.flow.is_map:
            self._end_stage()
        name = self._names.layer(layer)
        self.layers[name], self.flow, self._paths[id(layer)] = made, after, name
        if isinstance(layer, (Convolution, FullyConnected)):
            self._initialise(xavier_)
            self._uninitialised = made
        if isinstance(layer, Plain) and layer.word in ACTIVATIONS:
            self._initialise(xavier_ if layer.word in _SATURATING else he_)
        self._note(layer, name)

    def _note(self, layer: Layer, name: str) -> None:
        """Note a layer that may be the end of its stage.

        That is a convolution and what follows it, except dropout, LRN and poolings; maps of the classes belong to the
        head.
        """
        if isinstance(layer, Convolution) and layer.filters is None:
            self._end_stage()
        elif isinstance(layer, Convolution) or (isinstance(layer, Plain) and layer.word != "lrn" and self._end):
            self._end = name

    def _append_residual(self, item: Residual) -> None:
        body, shortcut = self._branch(item.body), self._branch(item.shortcut)
        self._check_sum(item, body.flow, shortcut.flow)
        self._initialise(xavier_)
        strides = body.flow.stride != self.flow.stride
        if strides or not body.flow.is_map:
            self._end_stage()
        name = self._names.place("block", strides=strides)
        beside = nn.Sequential(shortcut.layers) if item.shortcut else nn.Identity()
        self.layers[name] = ResidualBrackets(nn.Sequential(body.layers), beside)
        self.flow = body.flow
        if self.flow.is_map:
            self._end = f"{name}.add"

    def _branch(self, items: tuple[Item, ...]) -> Assembly:
        branch = Assembly(self._text, self._classes, self.flow, staged=False)
        branch.extend(items)
        branch.finish()
        return branch

    def _check_sum(self, item: Residual, body: Flow, shortcut: Flow) -> None:
        if body.shape != shortcut.shape:
            step = body.stride // self.flow.stride
            offer = (
                ""
                if item.shortcut or not body.is_map
                else (
                    f" A shortcut stands behind a bar: {{… | conv1-{body.shape[0]}{f'/{step}' if step > 1 else ''}}}."
                )
            )
            sentence = f"Brackets add maps of one shape; here the body gives {body} and the shortcut {shortcut}.{offer}"
            raise NotationError(sentence, self._text, item.at)
        if body.stride != shortcut.stride:
            sentence = (
                f"Brackets add values of the same places; here the body has a stride of {body.stride} pixels "
                f"and the shortcut one of {shortcut.stride}."
            )
            raise NotationError(sentence, self._text, item.at)

    def _initialise(self, rule: Callable[[nn.Module], None]) -> None:
        if self._uninitialised is not None:
            rule(self._uninitialised)
        self._uninitialised = None

    def _end_stage(self) -> None:
        if self._end is not None:
            self.maps[f"stage{self._names.stage}"] = self._end
        self._end = None
