"""A written layer as torch's module, for what it is given."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from torch import nn

from striate.layers import (
    AvgPool2dSame,
    Conv2dSame,
    GlobalAveragePool,
    LocalResponseNorm,
    MaxNormConv2d,
    MaxNormLinear,
    MaxPool2dSame,
)
from striate.models.notation.flow import Flow, Site
from striate.models.notation.tree import Convolution, Dropout, FullyConnected, Layer, Plain, Pooling

_ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
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
    """The module of a written layer, and what comes out of it.

    Raises:
        NotationError: the layer does not fit what it is given.
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
            return _ACTIVATIONS[word](), given
