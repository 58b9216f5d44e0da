"""A model of the zoo under test: its sketch, its description and its sizes, each made once."""

from __future__ import annotations

import copy
import functools
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from judges.parity import calibrating, randomise, still
from striate.core.errors import ModelError
from striate.core.protocols import Auxiliary
from striate.models import MODELS, ModelCard, Network, create_model, meta_model
from striate.models._zoo import Builder
from striate.tracing import Description, describe

CLASSES = 5
# On the meta device a large image costs nothing. No chain of kernels sees as far; a gate over all of it does.
HUGE = (10_007, 9_991)


class Subject:
    """The model `name`; everything it holds is on the meta device and made when it is first used."""

    def __init__(self, name: str) -> None:
        self.name = name

    @property
    def builder(self) -> Builder:
        return _THIN.get(self.name) or MODELS[self.name]

    @property
    def card(self) -> ModelCard:
        return self.builder.card

    @functools.cached_property
    def sketch(self) -> Network:
        """The model as its card has it."""
        return self._build(self.card.input[0], self.card.input[1:], self.card.classes)

    @functools.cached_property
    def description(self) -> Description:
        return describe(self.sketch, self.card.input)

    @functools.cached_property
    def huge(self) -> Network:
        """The model for other channels and classes than any card has, and for huge images."""
        return self._build(2, HUGE, CLASSES)

    @functools.cached_property
    def huge_description(self) -> Description:
        return describe(self.huge, (2, *HUGE))

    @functools.cached_property
    def smallest(self) -> int:
        """The smallest side of a square image that it takes, as its own error says."""
        try:
            self.meta((1, 1))
        except ModelError as error:
            said = str(error)
        else:
            return 1
        found = re.search(r"at least (\d+)×\1 pixels; received 1×1", said)
        assert found, said
        return int(found[1])

    @property
    def small(self) -> tuple[int, int]:
        """A size above the smallest, and not square: some padding meets the border, some does not."""
        return max(self.smallest + 8, 40), max(self.smallest + 3, 33)

    def fresh(self, size: tuple[int, int], *, channels: int = 3, classes: int = CLASSES, seed: int = 1) -> Network:
        """With the paper's initial weights."""
        with _thin_ones_registered():
            return create_model(self.name, classes=classes, channels=channels, size=size, seed=seed)

    def meta(self, size: tuple[int, int], *, channels: int = 3) -> Network:
        with _thin_ones_registered():
            return meta_model(self.name, classes=CLASSES, channels=channels, size=size)

    @functools.cached_property
    def first(self) -> Network:
        """Fresh, for three channels and the small size: to be looked at. Whoever changes it takes a copy."""
        return self.fresh(self.small)

    @functools.cached_property
    def settled(self) -> Network:
        """The first, with random weights of all kinds, in eval mode, and batch norms that know what arrives."""
        network = copy.deepcopy(self.first)
        randomise(network, seed=5)
        with torch.no_grad(), calibrating(network, seed=6):
            all_logits(network.eval(), pictures(8, self.small))
        still(network)
        return network

    def _build(self, channels: int, size: tuple[int, int], classes: int) -> Network:
        with torch.device("meta"):
            return self.builder.build(channels=channels, size=size, classes=classes)


@functools.lru_cache(maxsize=2)  # tests come model by model
def subject(name: str) -> Subject:
    return Subject(name)


def smallest_of_each_family() -> list[str]:
    """The member with the fewest parameters of each family, in the order of the registry."""
    members: dict[str, list[ModelCard]] = {}
    for name in MODELS:
        members.setdefault(MODELS[name].card.family, []).append(MODELS[name].card)
    chosen = {min(cards, key=lambda card: card.parameters).name for cards in members.values()}
    return [name for name in MODELS if name in chosen]


def zoo() -> list[str]:
    """Return the smallest member of each family; with `STRIATE_FAMILIES=all`, as in `make zoo`, all models."""
    return list(MODELS) if asks_all() else smallest_of_each_family()


def asks_all() -> bool:
    """Return whether all checks run, which takes hours: with `STRIATE_FAMILIES=all`, as in `make zoo`."""
    return os.environ.get("STRIATE_FAMILIES") == "all"


# One small network for each kind of block. That of stochastic depth is resnet20's with the layer that drops, which
# efficientnet_b0 and convnext_tiny have too.
_REPRESENTATIVES = (
    *("mlp", "lenet5", "lenet5_1998", "tiny_vgg", "cifar10_maxnorm", "nin", "highway11", "resnet20", "squeezenet1_1"),
    *("densenet_bc100_12", "googlenet_bn", "mobilenet_v2_035", "efficientnet_b0", "convnext_tiny"),
)


def families() -> list[str]:
    """Return one network for each kind of block; with `STRIATE_FAMILIES=all`, as in `make zoo`, one of each family."""
    chosen = smallest_of_each_family()
    if asks_all():
        return chosen
    return [name for name in chosen if name in _REPRESENTATIVES]


@dataclass(frozen=True)
class _Thin(Builder):
    """A network of the same blocks, joined by the same code, as one of the zoo, whose card it has: with fewer of them,
    and fewer channels. Most of the time of the large ones goes to drawing weights."""

    @functools.cached_property
    def card(self) -> ModelCard:
        return replace(MODELS[self.name.removesuffix("_thin")].card, name=self.name)


def _thin(name: str, **options: Any) -> _Thin:
    return _Thin(f"{name}_thin", MODELS[name].family, MODELS[name].network, {**MODELS[name].options, **options})


_THIN = {
    entry.name: entry
    for entry in (
        _thin("densenet_bc100_12", depth=22),
        _thin("efficientnet_b0", width=0.25, depth=0.3),
        _thin("convnext_tiny", widths=(24, 48, 96, 192), blocks=(1, 1, 3, 1)),
    )
}


@contextmanager
def _thin_ones_registered() -> Iterator[None]:
    """Have the thin networks in the zoo while one is built; no list of the zoo has them."""
    MODELS._entries.update(_THIN)
    try:
        yield
    finally:  # families that are imported meanwhile stay
        for name in _THIN:
            del MODELS._entries[name]


def blocks() -> list[str]:
    """Return one network for each kind of block, a thin one where there is one; all of `families` where all checks run.

    What the network of the zoo computes is known by its digest to be what `make zoo` has checked (`test_zoo_results`).
    """
    return families() if asks_all() else [f"{name}_thin" if f"{name}_thin" in _THIN else name for name in families()]


def pictures(count: int, size: tuple[int, int], channels: int = 3, seed: int = 3) -> Tensor:
    return torch.randn(count, channels, *size, generator=torch.Generator().manual_seed(seed))


def all_logits(network: Network, x: Tensor) -> list[Tensor]:
    """The main logits, then those of the auxiliary classifiers."""
    if not isinstance(network, Auxiliary):
        return [network(x)]
    logits, auxiliary = network.forward_with_auxiliary(x)
    return [logits, *auxiliary.values()]


def heads(network: Network) -> dict[str, nn.Module]:
    """What transfer learning replaces, by path: the main head and those of the auxiliary classifiers."""
    paths = [network.head, *(network.auxiliary_heads.values() if isinstance(network, Auxiliary) else ())]
    return {path: network.get_submodule(path) for path in paths}


class Reached(Exception):  # noqa: N818 (no error: it ends a forward pass that has given what was asked)
    pass


def capture(network: nn.Module, path: str, x: Tensor) -> Tensor:
    """What the module at `path` gives; the forward pass ends there."""
    found: list[Tensor] = []

    def take(module: nn.Module, given: Any, output: Tensor) -> None:
        found.append(output)
        raise Reached

    with network.get_submodule(path).register_forward_hook(take):
        try:
            network(x)
        except Reached:
            return found[0]
    raise AssertionError(f"{path} is not reached")


Promise = Callable[[Subject], None]
