"""Check an explanation: the tests, their order, and how far the budget reaches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import combinations
from typing import TypeVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from striate.explaining.checks.areas import Rounds
from striate.explaining.checks.budget import Budget
from striate.explaining.checks.reference_maps import Maps, centred, edges, moved
from striate.explaining.checks.result import Classes, Deletions, Depth, RandomisationTest, WithChance
from striate.explaining.checks.similarity import correlation, rank_correlation, ranks, structural_similarity
from striate.explaining.checks.verdict import Check
from striate.explaining.checks.weights import Cascade
from striate.explaining.invocation import Invocation
from striate.explaining.model_input import as_model_input
from striate.hooks import borrow

NOISE_NETWORKS = 4
"""With all weights noise; their pairs are the chance that the network's own map is compared with."""

ORDERS = 20
"""Random places of the map that deletion, insertion and ROAD are compared with."""

LEAST_ORDERS = 10
"""With fewer there is no result: being better than a few random orders means nothing."""

DEPTHS = 6
"""Stops of the cascade on its way down, at most."""

Piece = TypeVar("Piece")


def check(
    invocation: Invocation,
    maps: Maps,
    *,
    method: str,
    residue: Float[np.ndarray, " n"] | None = None,
    budget: str = "30s",
) -> Check:
    """Repeat the call that made `maps` with random weights, and remove the pixels that they mark; see `Check`.

    `invocation` names the classes explained, so that a random network does not choose one of its own. `method` and
    `residue` are those of the attribution.

    Raises:
        InvocationError: the network is gone, or has changed.
        ConfigError: the budget is not a time.
    """
    model = invocation.network()
    with borrow(model):
        checking = _Checking(invocation, maps, model, Budget(budget))
        repetition, randomisation = checking.repetition(), checking.randomisation()
        classes, depths = checking.classes(), checking.depths()
        deletions, road = checking.deletions(), checking.road()
    return Check(
        method=method,
        images=len(invocation.images),
        budget=budget,
        constant=checking.constant,
        repetition=repetition,
        randomisation=randomisation,
        empty_maps=checking.empty_maps,
        classes=classes,
        deletions=deletions,
        road=road,
        depths=depths,
        residue=None if residue is None else float(residue.mean()),
        skipped=checking.skipped,
    )


class _Checking:
    """A check in progress; `skipped` and `empty_maps` are those of the `Check`."""

    def __init__(self, invocation: Invocation, maps: Maps, model: nn.Module, budget: Budget) -> None:
        self._invocation, self._map = invocation, maps
        self._model, self._budget = model, budget
        self._images = as_model_input(model, invocation.images)
        self._rounds = Rounds(model, self._images, self._score)
        self.constant = not np.ptp(maps, axis=(1, 2)).any()
        self.skipped: tuple[str, ...] = ()
        self.empty_maps = 0

    def repetition(self) -> float | None:
        """Return how similar the map is to that of a repeated call."""
        for again in self._within([self._model], "repetitions"):
            return float(rank_correlation(self._map, self._explained(again)).mean())
        return None

    def randomisation(self) -> RandomisationTest | None:
        """Compare the map with those of random networks, and those with one another."""
        maps = []
        for seed in self._within(range(NOISE_NETWORKS), "networks of noise"):
            cascade = self._cascade(seed)
            found = self._explained(cascade.down_to(len(cascade)))
            if np.ptp(found, axis=(1, 2)).any():
                maps.append(found)
            else:
                self.empty_maps += 1  # a constant map has no similarity to any other
        if len(maps) < 2:
            return None  # one has nothing to be compared with
        return RandomisationTest(
            _likeness(_size_of_rank_correlation, self._map, maps),
            _likeness(structural_similarity, self._map, maps),
            self._following([self._map]),
            self._following(maps),
        )

    def _following(self, maps: list[Maps]) -> WithChance:
        """Measure how closely the sizes of the values follow the image's edges, and the same edges in other places."""
        sizes, drawn = [ranks(np.abs(each)) for each in maps], ranks(edges(self._images))
        places = (drawn, *(moved(drawn, seed) for seed in range(ORDERS)))
        here, *elsewhere = (_mean(correlation(each, there) for each in sizes) for there in places)
        return WithChance(here, tuple(elsewhere))

    def classes(self) -> Classes | None:
        """Compare the map with that of another class, in the network and with a random topmost layer."""
        other = self._other_classes()
        if other is None:
            return None
        likeness = [
            float(rank_correlation(self._explained(network), self._explained(network, other)).mean())
            for network in self._within([self._model, self._cascade(1).down_to(1)], "comparisons of classes")
        ]
        return Classes(*likeness) if len(likeness) == 2 else None

    def _other_classes(self) -> list[int] | None:
        """Return the class with the next highest score for each image; None if the target is not a class."""
        target = self._invocation.target
        if target is None or callable(target):
            return None
        with torch.no_grad():
            logits = self._model(self._images.clone())
        if logits.shape[1] < 2:
            return None
        own = torch.as_tensor(target, device=logits.device).expand(len(logits))
        return logits.scatter(1, own[:, None], -torch.inf).argmax(1).tolist()

    def deletions(self) -> Deletions | None:
        """Measure deletion and insertion for the map, for a blob, and for the map in other places."""
        maps = [self._map, centred(self._map), *self._elsewhere()]
        areas = [
            self._rounds.areas(each, seed) for seed, each in self._within(list(enumerate(maps)), "orders of deletion")
        ]
        if len(areas) < 2 + LEAST_ORDERS:
            return None
        own, blob, *elsewhere = areas
        return Deletions(
            WithChance(own.deletion, tuple(each.deletion for each in elsewhere)),
            WithChance(own.insertion, tuple(each.insertion for each in elsewhere)),
            blob,
        )

    def road(self) -> WithChance | None:
        """Measure the mean score as the pixels are imputed, for the map and for the map in other places."""
        maps = list(enumerate([self._map, *self._elsewhere()]))
        scores = [self._rounds.imputed(each, seed) for seed, each in self._within(maps, "orders of ROAD")]
        return WithChance(scores[0], tuple(scores[1:])) if len(scores) > LEAST_ORDERS else None

    def _elsewhere(self) -> list[Maps]:
        return [moved(self._map, seed) for seed in range(ORDERS)]

    def depths(self) -> tuple[Depth, ...]:
        """Compare the map with those of a network that becomes random from the top down."""
        cascade = self._cascade(0)
        stops = sorted({1, *np.linspace(0, len(cascade), DEPTHS).round().astype(int).tolist()} - {0})
        found = []
        for layers in self._within(stops, "depths of the cascade"):
            other = self._explained(cascade.down_to(layers))
            rank, structure = _size_of_rank_correlation(self._map, other), structural_similarity(self._map, other)
            found.append(Depth(layers, float(rank.mean()), float(structure.mean())))
        return tuple(found)

    def _within(self, pieces: Iterable[Piece], what: str) -> Iterator[Piece]:
        """Yield the pieces that the budget allows; note how many others were skipped."""
        wanted = list(pieces)
        left = len(wanted)
        for piece in self._budget.spend(wanted):
            yield piece
            left -= 1
        if left:
            self.skipped += (f"{left} of {len(wanted)} {what}",)

    def _cascade(self, seed: int) -> Cascade:
        return Cascade(self._model, self._images, seed)

    def _explained(self, network: nn.Module, target: list[int] | None = None) -> Maps:
        call = self._invocation if target is None else replace(self._invocation, target=target)
        return call.repeat(network).map()

    def _score(self, logits: Tensor, rows: list[int]) -> Tensor:
        """Return the probability of each image's class, as in the paper, or the value of a function target."""
        target = self._invocation.target
        if callable(target):
            return target(logits)
        classes = torch.as_tensor(target, device=logits.device)[rows]
        return self._invocation.task.answers(logits.float()).gather(1, classes[:, None]).squeeze(1)


def _likeness(measure: Callable[[Maps, Maps], np.ndarray], own: Maps, noise: list[Maps]) -> WithChance:
    """Measure how similar the network's own map is to random ones; chance is the similarity among those."""
    pairs = combinations(noise, 2)
    return WithChance(
        _mean(measure(own, each) for each in noise), tuple(float(measure(*pair).mean()) for pair in pairs)
    )


def _size_of_rank_correlation(one: Maps, other: Maps) -> np.ndarray:
    """Return the absolute rank correlation: random weights may turn the sign of a score."""
    return np.abs(rank_correlation(one, other))


def _mean(measured: Iterable[np.ndarray]) -> float:
    return float(np.mean(list(measured)))
