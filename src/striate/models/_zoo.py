"""The zoo's one table: every model by name, with its card, and the two functions that list and build them."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from striate.core.errors import ModelError
from striate.core.protocols import FeatureMap
from striate.core.registry import Registry
from striate.core.rng import Stream
from striate.models._fit import output_shape, smallest_side
from striate.models._trace import EmptyMapError


@dataclass(frozen=True, kw_only=True)
class Published:
    """Figures of a model as a source prints them.

    `source` says where ("the paper, table 3" or an address). `parameters` and `macs` are written as printed, with their
    unit ("25.6 M", "4.1 G", "61,706"): a test compares them with what is counted, to the digits printed, unless
    `differs` says why they are not the same. `top1` and `top5` are accuracies in per cent on `data`; `protocol` says
    how they were taken (single net or ensemble, crops, size, year).
    """

    source: str
    parameters: str | None = None
    macs: str | None = None
    top1: float | None = None
    top5: float | None = None
    data: str = "ImageNet 2012 validation"
    protocol: str = ""
    differs: str = ""


@dataclass(frozen=True, kw_only=True)
class ModelCard:
    """What is known of a model: where it comes from, what is counted in it, and what its sources print.

    `input` is (channels, height, width); `parameters` and `macs` (multiply-accumulates of one forward pass, biases not
    counted) are counted for it and for `classes`. `depth` counts the layers with weights on the longest path. `initial`
    says why the first activations or logits leave the usual range, where they do.
    """

    name: str
    family: str
    title: str
    authors: str
    year: int
    paper: str
    input: tuple[int, int, int]
    classes: int
    parameters: int
    macs: int
    depth: int
    published: tuple[Published, ...] = ()
    notes: str = ""
    initial: str = ""


class Network(nn.Module):
    """What every model of the zoo is.

    `forward` takes pictures (n, c, h, w) and gives logits (n, k). `feature_maps` are its named places in forward order,
    `head` is the path of the module that transfer learning replaces. Every activation is a module of its own and not
    in place, every sum a module, so that each place can be looked into by its name.
    """

    card: ModelCard
    feature_maps: tuple[FeatureMap, ...]
    head: str


@dataclass(frozen=True)
class Builder:
    """An entry of the zoo: `build(channels=, size=, classes=)` gives the network, with its initial weights."""

    card: ModelCard
    build: Callable[..., Network]


MODELS: Registry[Builder] = Registry("model", ModelError)


def register(card: ModelCard) -> Callable[[Callable[..., Network]], Callable[..., Network]]:
    """Enter the decorated function into the zoo under the card's name.

    The function takes `channels`, `size` (height, width) and `classes` by keyword.
    """

    def enter(build: Callable[..., Network]) -> Callable[..., Network]:
        def built(*, channels: int, size: tuple[int, int], classes: int) -> Network:
            network = build(channels=channels, size=size, classes=classes)
            network.card = card
            return network

        built.__doc__, built.__name__, built.__module__ = build.__doc__, build.__name__, build.__module__
        MODELS.add(card.name, Builder(card, built))
        return built

    return enter


def list_models(pattern: str | None = None) -> list[ModelCard]:
    """The cards of all models in natural order, or of those whose name fits `pattern`.

    `*` and `?` stand for any characters and for one; a pattern without them may stand anywhere in the name.
    """
    wanted = "*" if pattern is None else pattern.casefold()
    if not set(wanted) & set("*?["):
        wanted = f"*{wanted}*"
    return [MODELS[name].card for name in MODELS if fnmatch.fnmatchcase(name.casefold(), wanted)]


def create_model(
    name: str, *, classes: int, channels: int = 3, size: tuple[int, int], seed: int | None = None
) -> Network:
    """Build a model of the zoo for pictures of `size` (height, width) with its paper's initial weights.

    With a `seed` the weights depend on it alone, and torch's random state is left as found; without one they are drawn
    from that state, as torch's own modules do.

    Raises:
        ModelError: there is no such model (the nearest name is offered), or the pictures are too small for it (the
            smallest size is named).
    """
    sketch_model(name, classes=classes, channels=channels, size=size)
    build = MODELS[name].build
    with torch.device("cpu"):
        if seed is None:
            return build(channels=channels, size=size, classes=classes)
        # Only the CPU's generator is seeded, and only it is restored: torch.manual_seed would touch every device's.
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(Stream(seed, "weights.initial").torch_seed())
            return build(channels=channels, size=size, classes=classes)


def sketch_model(name: str, *, classes: int, channels: int = 3, size: tuple[int, int]) -> Network:
    """The model as `create_model` builds it, on the meta device: all shapes, no weights, no memory.

    Raises:
        ModelError: as `create_model`.
    """
    if classes < 1 or channels < 1 or min(size) < 1:
        raise ModelError(
            f"A model has at least one class and one channel and takes pictures of at least 1×1 pixels; received "
            f"{classes} classes, {channels} channels, {size[0]}×{size[1]} pixels."
        )
    try:
        return _sketch(name, channels, size, classes)
    except EmptyMapError as error:
        side = smallest_side(lambda side: _admits(name, channels, side))
        raise ModelError(
            f"{name} takes pictures from {side}×{side} pixels on; received {size[0]}×{size[1]}. "
            f"Choose a larger size or another model."
        ) from error


def _sketch(name: str, channels: int, size: tuple[int, int], classes: int) -> Network:
    with torch.device("meta"):
        network = MODELS[name].build(channels=channels, size=size, classes=classes)
    output_shape(network, (channels, *size))
    return network


def _admits(name: str, channels: int, side: int) -> bool:
    try:
        _sketch(name, channels, (side, side), classes=2)
    except EmptyMapError:
        return False
    return True
