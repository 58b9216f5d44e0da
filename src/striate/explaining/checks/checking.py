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

from striate.explaining.call import Call
from striate.explaining.checks.areas import Rounds, centred, moved
from striate.explaining.checks.budget import Budget
from striate.explaining.checks.edges import edges
from striate.explaining.checks.result import Beside, Check, Deletions, Depth, Noise
from striate.explaining.checks.similarity import correlation, rank_correlation, ranks, structural_similarity
from striate.explaining.checks.weights import Cascade
from striate.explaining.method import Method
from striate.explaining.pictures import suited
from striate.hooks import borrow

NOISE_NETWORKS = 4
"""With all weights noise; their pairs are the chance that the network's own map is compared with."""

ORDERS = 20
"""Orders by lot that deletion and insertion are compared with."""

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
        noise, deletions, depths = checking.noise(), checking.deletions(), checking.depths()
    residue = None if explained.residue is None else float(explained.residue.mean())
    return Check(
        method=explained.method.name,
        pictures=len(explained.call.images),
        budget=budget,
        noise=noise,
        blank=checking.blank,
        deletions=deletions,
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
        self._map = explained.map()
        self.undone: tuple[str, ...] = ()
        self.blank = 0

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
            _likeness(rank_correlation, self._map, maps),
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

    def deletions(self) -> Deletions | None:
        """The areas of deletion and insertion for the map, for a blob, and for the map in other places."""
        rounds = Rounds(self._model, self._images, self._score)
        maps: list[Maps] = [self._map, centred(self._map), *(moved(self._map, seed) for seed in range(ORDERS))]
        areas = [rounds.areas(each, seed) for seed, each in self._within(list(enumerate(maps)), "orders of deletion")]
        if len(areas) < 3:
            return None
        own, blob, *lots = areas
        return Deletions(
            Beside(own.deletion, tuple(each.deletion for each in lots)),
            Beside(own.insertion, tuple(each.insertion for each in lots)),
            blob,
        )

    def depths(self) -> tuple[Depth, ...]:
        """The map beside those of a network that becomes noise from the top down."""
        cascade = self._cascade(0)
        stops = sorted({1, *np.linspace(0, len(cascade), DEPTHS).round().astype(int).tolist()} - {0})
        found = []
        for layers in self._within(stops, "depths of the cascade"):
            other = self._explained(cascade.down_to(layers))
            rank, structure = rank_correlation(self._map, other), structural_similarity(self._map, other)
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

    def _explained(self, network: nn.Module) -> Maps:
        return self._call.again(network).map()

    def _score(self, logits: Tensor, pictures: list[int]) -> Tensor:
        """The probability of each picture's class, as in the paper; what a target that is a function makes of them."""
        target = self._call.target
        if callable(target):
            return target(logits)
        classes = torch.as_tensor(target, device=logits.device)[pictures]
        return logits.float().softmax(1).gather(1, classes[:, None]).squeeze(1)


def _likeness(measure: Callable[[Maps, Maps], np.ndarray], own: Maps, noise: list[Maps]) -> Beside:
    """Of the network's own map to those of noise; chance is that of the latter, pair by pair."""
    pairs = combinations(noise, 2)
    return Beside(_mean(measure(own, each) for each in noise), tuple(float(measure(*pair).mean()) for pair in pairs))


def _mean(measured: Iterable[np.ndarray]) -> float:
    return float(np.mean(list(measured)))
