"""The modules of a written network: built layer by layer, each with its name and its initial weights.

Names are those that VGG's readers know. A stage is the run of maps of one resolution: it ends before a pooling, or a
convolution with a stride. conv2_1 is the first convolution of the second stage, relu2_1 and bn2_1 belong to it, pool2
closes the stage; block2_3 are residual brackets. Fully connected layers continue the count: after five stages follow
fc6, relu6, drop6, fc7. Inside brackets there are no stages: body.conv1, body.relu1, shortcut.conv1.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NoReturn

from jaxtyping import Float
from torch import Tensor, nn

from striate.layers import (
    Add,
    AvgPool2dSame,
    Conv2dSame,
    GlobalAveragePool,
    LocalResponseNorm,
    MaxNormConv2d,
    MaxNormLinear,
    MaxPool2dSame,
    he_,
    xavier_,
)
from striate.models.notation.grammar import ACTIVATIONS, GLOBAL_POOLINGS
from striate.models.notation.text import LostMapError, NotationError
from striate.models.notation.tree import (
    Convolution,
    Dropout,
    FullyConnected,
    Item,
    Layer,
    Placed,
    Plain,
    Pooling,
    Repeated,
    Residual,
)
from striate.tracing import Window


@dataclass(frozen=True)
class Flow:
    """The shape without the batch, (channels, height, width) of a map or (units,).

    `stride` is the number of input pixels between two neighbours of a map; 1 for units.
    """

    shape: tuple[int, ...]
    stride: int = 1

    @property
    def is_map(self) -> bool:
        return len(self.shape) == 3

    def __str__(self) -> str:
        """Return the shape as in a sentence: 64×32×32, or 512 numbers without positions."""
        return "×".join(map(str, self.shape)) if self.is_map else f"{self.shape[0]} numbers without positions"


@dataclass(frozen=True)
class Site:
    """A layer (`layer`, in `text`) and its input."""

    text: str
    layer: Placed
    given: Flow

    def refuse(self, reason: str) -> NoReturn:
        """Raise that the layer does not fit its input."""
        raise NotationError(f"{self.layer} receives {self.given}: {reason}.", self.text, self.layer.at)

    def map(self) -> tuple[int, int, int]:
        """Return the shape of the input; refuse one that is no map."""
        if not self.given.is_map:
            self.refuse("it needs a map, of channels × height × width")
        channels, height, width = self.given.shape
        return channels, height, width

    def slide(
        self, channels: int, kernel: tuple[int, int], *, stride: int, padding: tuple[int, int] | None, dilation: int = 1
    ) -> Flow:
        """Return the output of a window that slides over the map; a `padding` of None is TensorFlow's rule.

        Raises:
            LostMapError: the window is larger than the padded map.
        """
        _, height, width = self.map()
        step = self.given.stride * stride
        if padding is None:
            return Flow((channels, -(-height // stride), -(-width // stride)), step)
        window = Window((height, width), kernel, (stride, stride), padding, (dilation, dilation))
        if window.empty:
            raise LostMapError(
                f"{self.layer} has a kernel of {'×'.join(map(str, window.reach))}, larger than its input of "
                f"{height}×{width}.",
                self.text,
                self.layer.at,
            )
        rows, columns = window.positions
        return Flow((channels, int(rows), int(columns)), step)


_ACTIVATION_MODULES: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "relu6": nn.ReLU6,
    "leakyrelu": nn.LeakyReLU,
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "sigmoid": nn.Sigmoid,
    "tanh": nn.Tanh,
}


def module(text: str, layer: Layer, given: Flow, classes: int) -> tuple[nn.Module, Flow]:
    """Build the module of a written layer, and return it with its output.

    Raises:
        NotationError: the layer does not fit its input.
        LostMapError: nothing of the map is left.
    """
    site = Site(text, layer, given)
    match layer:
        case Convolution():
            return _convolution(layer, site, classes)
        case Pooling():
            return _pooling(layer, site)
        case FullyConnected():
            units = classes if layer.units is None else layer.units
            return _fully_connected(layer, given.shape[0], units), Flow((units,))
        case Dropout():
            return nn.Dropout(layer.rate), given
        case Plain():
            return _plain(layer.word, site)


def _convolution(layer: Convolution, site: Site, classes: int) -> tuple[nn.Module, Flow]:
    channels, _, _ = site.map()
    filters = classes if layer.filters is None else layer.filters
    for number, noun in ((channels, "channels"), (filters, "filters")):
        if number % layer.groups:
            site.refuse(f"its {number} {noun} cannot be divided into {layer.groups} groups")
    kernel, stride, dilation, groups = layer.kernel, layer.stride, layer.dilation, layer.groups
    if layer.padding == "same":
        made: nn.Module = Conv2dSame(channels, filters, kernel, stride, dilation, groups, layer.bias)
        return made, site.slide(filters, kernel, stride=stride, padding=None, dilation=dilation)
    top, left = (dilation * (side - 1) // 2 if layer.padding == "half" else layer.padding for side in kernel)
    padding = (top, left)
    if layer.max_norm is not None:
        made = MaxNormConv2d(channels, filters, kernel, stride, padding, max_norm=layer.max_norm)
    else:
        made = nn.Conv2d(channels, filters, kernel, stride, padding, dilation, groups, layer.bias)
    return made, site.slide(filters, kernel, stride=stride, padding=padding, dilation=dilation)


def _pooling(layer: Pooling, site: Site) -> tuple[nn.Module, Flow]:
    channels, _, _ = site.map()
    window = (layer.side, layer.side)
    if layer.padding == "same":
        pool = MaxPool2dSame if layer.kind == "max" else AvgPool2dSame
        return pool(layer.side, layer.stride), site.slide(channels, window, stride=layer.stride, padding=None)
    pool = nn.MaxPool2d if layer.kind == "max" else nn.AvgPool2d
    padding = (layer.padding, layer.padding)
    made = pool(layer.side, layer.stride, layer.padding)
    return made, site.slide(channels, window, stride=layer.stride, padding=padding)


def _fully_connected(layer: FullyConnected, inputs: int, units: int) -> nn.Module:
    if layer.max_norm is not None:
        return MaxNormLinear(inputs, units, max_norm=layer.max_norm)
    return nn.Linear(inputs, units)


def _plain(word: str, site: Site) -> tuple[nn.Module, Flow]:
    given = site.given
    match word:
        case "bn":
            return (nn.BatchNorm2d if given.is_map else nn.BatchNorm1d)(given.shape[0]), given
        case "lrn":
            site.map()
            return LocalResponseNorm(), given
        case "gap":
            return GlobalAveragePool(), Flow(site.map()[:1])
        case "gmp":
            made = nn.Sequential(OrderedDict(pool=nn.AdaptiveMaxPool2d(1), flatten=nn.Flatten()))
            return made, Flow(site.map()[:1])
        case _:
            return _ACTIVATION_MODULES[word](), given


class Names:
    """Gives each layer its name, in order; none is given twice."""

    def __init__(self, *, staged: bool) -> None:
        self.stage = 0
        self._staged = staged
        self._open = False  # whether the stage has a convolution
        self._place = 0  # in the stage, or in the branch
        self._label = "0"
        self._given: set[str] = set()

    def layer(self, layer: Layer) -> str:
        """Return the name of the next layer."""
        match layer:
            case Convolution():
                return self.place("conv", strides=layer.stride > 1)
            case Pooling():
                return self._pooling(strides=layer.stride > 1)
            case FullyConnected():
                return self._unit()
            case Dropout():
                return self._unique(f"drop{self._label}")
            case Plain():
                bare = layer.word.rstrip("6")  # relu6's own number would be read as a place
                return self._unique(bare if bare in GLOBAL_POOLINGS else f"{bare}{self._label}")

    def place(self, word: str, *, strides: bool) -> str:
        """Return the name of the next convolution or block; one that `strides` begins a stage."""
        if self._staged and (strides or not self._open):
            self.stage += 1
            self._open, self._place = True, 0
        self._place += 1
        self._label = f"{self.stage}_{self._place}" if self._staged else f"{self._place}"
        return self._unique(f"{word}{self._label}")

    def _pooling(self, *, strides: bool) -> str:
        if self._staged and strides:
            self._open = False
            self._label = f"{self.stage}"
        return self._unique(f"pool{self._label}")

    def _unit(self) -> str:
        if self._staged:
            self.stage += 1
            self._label = f"{self.stage}"
        else:
            self._place += 1
            self._label = f"{self._place}"
        return self._unique(f"fc{self._label}")

    def _unique(self, name: str) -> str:
        candidate, number = name, 1
        while candidate in self._given:
            number += 1
            candidate = f"{name}_{number}"
        self._given.add(candidate)
        return candidate


_SATURATING = ("sigmoid", "tanh")  # the other activations are kin of ReLU, for which He's initial weights are meant


class ResidualBrackets(nn.Module):
    """The sum of the outputs of a body and a shortcut."""

    def __init__(self, body: nn.Module, shortcut: nn.Module) -> None:
        super().__init__()
        self.body = body
        self.shortcut = shortcut
        self.add = Add()

    def forward(self, x: Float[Tensor, "n ..."]) -> Float[Tensor, "n ..."]:
        return self.add(self.body(x), self.shortcut(x))


class Assembly:
    """A network, or one branch of residual brackets, under construction.

    `layers` are its modules by name, `flow` is the output of the last, `maps` are the ends of its stages. A branch is
    not `staged` and has none.
    """

    def __init__(self, text: str, classes: int, flow: Flow, *, staged: bool) -> None:
        self.layers: OrderedDict[str, nn.Module] = OrderedDict()
        self.maps: dict[str, str] = {}
        self.flow = flow
        self._text = text
        self._classes = classes
        self._names = Names(staged=staged)
        self._paths: dict[int, str] = {}  # of the layers as they stand in the text, by identity
        self._uninitialised: nn.Module | None = None  # until the next layer is known
        self._end: str | None = None  # path of the last layer of the stage worth seeing

    def extend(self, items: Iterable[Item]) -> None:
        """Append all items.

        Raises:
            NotationError: one does not fit its input.
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
        """Initialise the last layer and close the last stage."""
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

        These are a convolution and the layers after it, without dropout, LRN and poolings. Maps of the classes belong
        to the head.
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
                else (f" A shortcut follows a bar: {{… | conv1-{body.shape[0]}{f'/{step}' if step > 1 else ''}}}.")
            )
            sentence = (
                f"Brackets add maps of one shape; here the body returns {body} and the shortcut {shortcut}.{offer}"
            )
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
