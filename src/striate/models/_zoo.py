"""The registry of models: every model of the zoo by name, with its card."""

from __future__ import annotations

import fnmatch
import functools
import inspect
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn

from striate.core.errors import ModelError
from striate.core.registry import Registry

if TYPE_CHECKING:
    from striate.models.weights.pretrained import Pretrained


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
    """Facts about a model: its paper, its counts, and the figures that its sources print.

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
    """A model of the zoo.

    `forward` takes images (n, c, h, w) and returns logits (n, k). `feature_maps` are the paths of the modules whose
    outputs are worth seeing, by name and in forward order; `describe` has their channels, strides and receptive fields.
    `head` is the path of the module that transfer learning replaces. `pretrained` describes pretrained weights, if
    there are any. Every activation is a module of its own and not in place, every sum a module, so that each place can
    be captured by its name.
    """

    card: ModelCard
    feature_maps: Mapping[str, str]
    head: str
    pretrained: Pretrained | None = None


@dataclass(frozen=True)
class Builder:
    """An entry of the zoo: a network's class, or a function that builds it, and the options of one variant."""

    name: str
    family: str
    network: Callable[..., Network]
    options: Mapping[str, Any]

    @functools.cached_property
    def card(self) -> ModelCard:
        """The model's card; its family's table is read when the first of its cards is used."""
        table = _read_table(self.family)
        fields = table["common"] | table["models"][self.name]
        published = tuple(Published(**row) for row in fields.pop("published", ()))
        fields["input"] = tuple(fields["input"])
        return ModelCard(name=self.name, family=self.family, published=published, **fields)

    def build(self, *, channels: int, size: tuple[int, int], classes: int) -> Network:
        """Build the network with its initial weights and its card, for images of `size` (height, width)."""
        network = self.assemble(channels=channels, size=size, classes=classes)
        network.card = self.card
        return network

    def assemble(self, *, channels: int, size: tuple[int, int], classes: int) -> Network:
        """Build the network without reading its card."""
        sized = {"size": size} if "size" in inspect.signature(self.network).parameters else {}
        return self.network(channels=channels, classes=classes, **sized, **self.options)


MODELS: Registry[Builder] = Registry("model", ModelError)


def register_family(family: str, network: Callable[..., Network], variants: Mapping[str, Mapping[str, Any]]) -> None:
    """Register the variants of a family in the zoo, by name.

    `network` takes `channels` and `classes` by keyword, `size` (height, width) if it has a parameter of this name, and
    the options of the variant. The cards are in `cards/FAMILY.json`.
    """
    for name, options in variants.items():
        MODELS.add(name, Builder(name, family, network, options))


def card_table(family: str) -> Path:
    """Return the path of a family's cards: the fields that all share, and those of each model."""
    return Path(__file__).with_name("cards") / f"{family}.json"


@functools.cache
def _read_table(family: str) -> dict[str, Any]:
    return json.loads(card_table(family).read_text(encoding="utf-8"))


def list_models(pattern: str | None = None) -> list[ModelCard]:
    """List the cards of all models in natural order, or of those whose name matches `pattern`.

    `*` and `?` match any characters and one; a pattern without them matches any part of the name.
    """
    return [MODELS[name].card for name in matching(MODELS, pattern)]


def matching(names: Iterable[str], pattern: str | None) -> list[str]:
    """Return the names that match `pattern`, in their order: see `list_models`."""
    wanted = "*" if pattern is None else pattern.casefold()
    if not set(wanted) & set("*?["):
        wanted = f"*{wanted}*"
    return [name for name in names if fnmatch.fnmatchcase(name.casefold(), wanted)]
