"""The zoo's one table: every model by name, with its card."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from striate.core.errors import ModelError
from striate.core.protocols import FeatureMap
from striate.core.registry import Registry


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

    def __repr__(self) -> str:
        size = "×".join(map(str, self.input))
        counts = f"{self.parameters:,} parameters, {self.macs:,} MACs"
        return f"ModelCard({self.name!r}, {self.year}, input {size}, {counts})"


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
