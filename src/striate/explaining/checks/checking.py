"""The check of an explanation: what is tried, in which order, and how far the budget goes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import combinations
from typing import Protocol, TypeVar, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from striate.explaining.attribution.methods import Method
from striate.explaining.checks.areas import Rounds, centred, moved
from striate.explaining.checks.budget import Budget
from striate.explaining.checks.edges import edges
from striate.explaining.checks.result import Beside, Classes, Deletions, Depth, Noise
from striate.explaining.checks.similarity import correlation, rank_correlation, ranks, structural_similarity
from striate.explaining.checks.verdict import Check
from striate.explaining.checks.weights import Cascade
from striate.explaining.invocation import Call
from striate.explaining.model_input import suited
from striate.hooks import borrow

NOISE_NETWORKS = 4
"""With all weights noise; their pairs are the chance that the network's own map is compared with."""

ORDERS = 20
"""Random places of the map that deletion, insertion and ROAD are compared with."""

LEAST_ORDERS = 10
"""With fewer of them nothing is said: to be better than a few means nothing."""

DEPTHS = 6
"""Stops of the cascade on its way down, at most."""

Maps = Float[np.ndarray, "n h w"]
Piece = TypeVar("Piece")


@runtime_checkable
class Explained(Protocol):
    """What is checked: an `Attribution`, as far as a check knows it."""

    @property
    def method(self) -> Method: ...
    @property
    def target(self) -> tuple[int, ...] | None: ...
    @property
    def residue(self) -> Float[np.ndarray, " n"] | None: ...
    @property
    def call(self) -> Call: ...
    def map(self) -> Maps: ...


def check(explained: Explained, budget: str) -> Check:
    """Make the call of an explanation again, and compare; see `Check` for what is tried.

    Raises:
        CallError: the network is gone, or has changed.
        ConfigError: the budget is no time.
    """
    model = explained.call.network()
    with borrow(model):
        checking = _Checking(explained, model, Budget(budget))
        repetition, noise = checking.repetition(), checking.noise()
        classes, depths = checking.classes(), checking.depths()
        deletions, road = checking.deletions(), checking.road()
    residue = None if explained.residue is None else float(explained.residue.mean())
    return Check(
        method=explained.method.name,
        pictures=len(explained.call.images),
        budget=budget,
        constant=checking.constant,
        repetition=repetition,
        noise=noise,
        blank=checking.blank,
        classes=classes,
        deletions=deletions,
        road=road,
        depths=depths,
        residue=residue,
        undone=checking.undone,
    )


class _Checking:
    """One check under way; `undone` names what the budget did not allow, `blank` counts empty maps of noise."""

    def __init__(self, explained: Explained, model: nn.Module, budget: Budget) -> None:
        target = explained.call.target if explained.target is None else list(explained.target)
        self._call = replace(explained.call, target=target)  # noise must not choose a class of its own
        self._model, self._budget = model, budget
        self._images = suited(model, self._call.images)
        self._rounds = Rounds(model, self._images, self._score)
        self._map = explained.map()
        self.constant = not np.ptp(self._map, axis=(1, 2)).any()
        self.undone: tuple[str, ...] = ()
        self.blank = 0

    def repetition(self) -> float | None:
        """How alike the map is to that of the same call made once more."""
        for again in self._within([self._model], "repetitions"):
            return float(rank_correlation(self._map, self._explained(again)).mean())
        return None

    def noise(self) -> Noise | None:
        """The map beside those of networks of noise, and those beside one another."""
        maps = []
        for seed in self._within(range(NOISE_NETWORKS), "networks of noise"):
            cascade = self._cascade(seed)
            found = self._explained(cascade.down_to(len(cascade)))
            if np.ptp(found, axis=(1, 2)).any():
                maps.append(found)
            else:
                self.blank += 1  # nothing speaks for the class there, and a blank map is like and unlike any other
        if len(maps) < 2:
            return None  # one has nothing to be compared with
        return Noise(
            _likeness(_size_of_rank_correlation, self._map, maps),
            _likeness(structural_similarity, self._map, maps),
            self._following([self._map]),
            self._following(maps),
        )

    def _following(self, maps: list[Maps]) -> Beside:
        """How closely the sizes of the values follow the edges in the picture, and the same edges in other places."""
        sizes, drawn = [ranks(np.abs(each)) for each in maps], ranks(edges(self._images))
        places = (drawn, *(moved(drawn, seed) for seed in range(ORDERS)))
        here, *elsewhere = (_mean(correlation(each, there) for each in sizes) for there in places)
        return Beside(here, tuple(elsewhere))

    def classes(self) -> Classes | None:
        """The map beside that of another class, in the network and in one whose topmost layer is random."""
        other = self._other_classes()
        if other is None:
            return None
        likeness = [
            float(rank_correlation(self._explained(network), self._explained(network, other)).mean())
            for network in self._within([self._model, self._cascade(1).down_to(1)], "comparisons of classes")
        ]
        return Classes(*likeness) if len(likeness) == 2 else None

    def _other_classes(self) -> list[int] | None:
        """For each image the class with the highest score but the one explained; None if the target is no class."""
        target = self._call.target
        if target is None or callable(target):
            return None
        with torch.no_grad():
            logits = self._model(self._images.clone())
        if logits.shape[1] < 2:
            return None
        own = torch.as_tensor(target, device=logits.device).expand(len(logits))
        return logits.scatter(1, own[:, None], -torch.inf).argmax(1).tolist()

    def deletions(self) -> Deletions | None:
        """The areas of deletion and insertion for the map, for a blob, and for the map in other places."""
        maps = [self._map, centred(self._map), *self._elsewhere()]
        areas = [
            self._rounds.areas(each, seed) for seed, each in self._within(list(enumerate(maps)), "orders of deletion")
        ]
        if len(areas) < 2 + LEAST_ORDERS:
            return None
        own, blob, *lots = areas
        return Deletions(
            Beside(own.deletion, tuple(each.deletion for each in lots)),
            Beside(own.insertion, tuple(each.insertion for each in lots)),
            blob,
        )

    def road(self) -> Beside | None:
        """The mean score as the pixels are imputed, for the map and for the map in other places."""
        maps = list(enumerate([self._map, *self._elsewhere()]))
        scores = [self._rounds.imputed(each, seed) for seed, each in self._within(maps, "orders of ROAD")]
        return Beside(scores[0], tuple(scores[1:])) if len(scores) > LEAST_ORDERS else None

    def _elsewhere(self) -> list[Maps]:
        return [moved(self._map, seed) for seed in range(ORDERS)]

    def depths(self) -> tuple[Depth, ...]:
        """The map beside those of a network that becomes noise from the top down."""
        cascade = self._cascade(0)
        stops = sorted({1, *np.linspace(0, len(cascade), DEPTHS).round().astype(int).tolist()} - {0})
        found = []
        for layers in self._within(stops, "depths of the cascade"):
            other = self._explained(cascade.down_to(layers))
            rank, structure = _size_of_rank_correlation(self._map, other), structural_similarity(self._map, other)
            found.append(Depth(layers, float(rank.mean()), float(structure.mean())))
        return tuple(found)

    def _within(self, pieces: Iterable[Piece], what: str) -> Iterator[Piece]:
        """The pieces that the budget allows; the others are noted."""
        wanted = list(pieces)
        left = len(wanted)
        for piece in self._budget.spend(wanted):
            yield piece
            left -= 1
        if left:
            self.undone += (f"{left} of {len(wanted)} {what}",)

    def _cascade(self, seed: int) -> Cascade:
        return Cascade(self._model, self._images, seed)

    def _explained(self, network: nn.Module, target: list[int] | None = None) -> Maps:
        call = self._call if target is None else replace(self._call, target=target)
        return call.again(network).map()

    def _score(self, logits: Tensor, pictures: list[int]) -> Tensor:
        """The probability of each picture's class, as in the paper; what a target that is a function makes of them."""
        target = self._call.target
        if callable(target):
            return target(logits)
        classes = torch.as_tensor(target, device=logits.device)[pictures]
        return self._call.task.answers(logits.float()).gather(1, classes[:, None]).squeeze(1)


def _likeness(measure: Callable[[Maps, Maps], np.ndarray], own: Maps, noise: list[Maps]) -> Beside:
    """Of the network's own map to those of noise; chance is that of the latter, pair by pair."""
    pairs = combinations(noise, 2)
    return Beside(_mean(measure(own, each) for each in noise), tuple(float(measure(*pair).mean()) for pair in pairs))


def _size_of_rank_correlation(one: Maps, other: Maps) -> np.ndarray:
    """A map and its negative show the same: random weights may turn the sign of a score."""
    return np.abs(rank_correlation(one, other))


def _mean(measured: Iterable[np.ndarray]) -> float:
    return float(np.mean(list(measured)))
