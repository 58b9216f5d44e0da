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
from striate.explaining.checks.reference_maps import Maps, edges, moved
from striate.explaining.checks.result import Deletions, Depth, RandomisationTest, WithChance
from striate.explaining.checks.similarity import correlation, rank_correlation, ranks, structural_similarity
from striate.explaining.checks.unseen import HALVES, hide, spreads
from striate.explaining.checks.verdict import Check
from striate.explaining.checks.weights import Cascade, copied
from striate.explaining.invocation import Invocation
from striate.explaining.model_input import as_model_input
from striate.hooks import borrow

NOISE_NETWORKS = 4
"""With all weights noise; their pairs are the chance that the network's own map is compared with."""

ORDERS = 14
"""Random places of the map that deletion, insertion and ROAD are compared with."""

LEAST_ORDERS = 10
"""With fewer there is no result: being better than a few random orders means nothing."""

CLASS_NETWORKS = 2
"""In which the weights of the map's class alone are noise."""

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
        elsewhere, own_class, unseen = checking.elsewhere(), checking.own_class(), checking.unseen()
        depths, deletions, road = checking.depths(), checking.deletions(), checking.road()
    return Check(
        method=method,
        images=len(invocation.images),
        budget=budget,
        constant=checking.constant,
        repetition=repetition,
        randomisation=randomisation,
        empty_maps=checking.empty_maps,
        elsewhere=elsewhere,
        own_class=own_class,
        unseen=unseen,
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
        """Return how similar the map is to that of a repeated call, in which the order of the images is reversed."""
        rows = list(range(len(self._images)))[::-1]
        for again in self._within([self._model], "repetition"):
            maps = self._invocation.of_rows(rows).repeat(again).map()
            return float(rank_correlation(self._map[rows], maps).mean())
        return None

    def randomisation(self) -> RandomisationTest | None:
        """Compare the map with those of random networks, and those with one another."""
        maps = []
        for seed in self._within(range(NOISE_NETWORKS), "random networks"):
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

    def elsewhere(self) -> float | None:
        """Return how similar the map is to that of the image moved by half its height and width, cyclically."""
        height, width = self._images.shape[2:]
        other = self._images.roll((height // 2, width // 2), (2, 3))
        if torch.equal(other, self._images):
            return None
        for network in self._within([self._model], "map of another image"):
            found = replace(self._invocation, images=other).repeat(network).map()
            return float(rank_correlation(self._map, found).mean())
        return None

    def own_class(self) -> float | None:
        """Return how similar the map is to that of a network in which the weights of its class alone are random."""
        target = self._invocation.target
        if target is None or callable(target):
            return None
        with torch.no_grad():
            classes = self._model(self._images.clone()).shape[1]
        of_images = np.broadcast_to(np.asarray(target), len(self._images))
        calls = [(seed, number) for number in np.unique(of_images).tolist() for seed in range(CLASS_NETWORKS)]
        found: list[np.ndarray] = []
        for seed, number in self._within(calls, "random weights of the class"):
            network = self._cascade(seed).of_class(number, classes)
            if network is None:
                return None
            rows = np.flatnonzero(of_images == number).tolist()
            maps = self._invocation.of_rows(rows).repeat(network).map()
            found.append(rank_correlation(self._map[rows], maps))
        return float(np.concatenate(found).mean()) if found else None

    def unseen(self) -> WithChance | None:
        """Measure how flat the map is where half of the image is hidden from the network; see `spreads`."""
        halves = [half for half in HALVES if self._images.shape[half[0]] > 1]
        found = {
            half: self._explained(hide(copied(self._model), self._images, half))
            for half in self._within(halves, "hidden halves")
        }
        return spreads(found) if found and len(found) == len(halves) else None

    def deletions(self) -> Deletions | None:
        """Measure deletion and insertion, for the map and for the map in other places."""
        areas = [
            self._rounds.areas(each, seed)
            for seed, each in self._within(list(enumerate(self._maps())), "deletion and insertion")
        ]
        if len(areas) <= LEAST_ORDERS:
            return None
        return Deletions(
            _with_chance([each.deletion for each in areas]), _with_chance([each.insertion for each in areas])
        )

    def road(self) -> WithChance | None:
        """Measure the mean score as the pixels are imputed, for the map and for the map in other places."""
        maps = list(enumerate(self._maps()))
        scores = [self._rounds.imputed(each, seed) for seed, each in self._within(maps, "ROAD")]
        return _with_chance(scores) if len(scores) > LEAST_ORDERS else None

    def _maps(self) -> list[Maps]:
        return [self._map, *(moved(self._map, seed) for seed in range(ORDERS))]

    def depths(self) -> tuple[Depth, ...]:
        """Compare the map with those of a network that becomes random from the top down."""
        cascade = self._cascade(0)
        stops = sorted({1, *np.linspace(0, len(cascade), DEPTHS).round().astype(int).tolist()} - {0})
        found = []
        for layers in self._within(stops, "cascade"):
            other = self._explained(cascade.down_to(layers))
            rank, structure = _size_of_rank_correlation(self._map, other), structural_similarity(self._map, other)
            found.append(Depth(layers, float(rank.mean()), float(structure.mean())))
        return tuple(found)

    def _within(self, pieces: Iterable[Piece], what: str) -> Iterator[Piece]:
        """Yield the pieces that the budget allows; note whether some or all of them were skipped."""
        wanted = list(pieces)
        done = 0
        for done, piece in enumerate(self._budget.spend(wanted), 1):  # noqa: B007 (read after the loop)
            yield piece
        if done < len(wanted):
            self.skipped += (f"part of {what}" if done else what,)

    def _cascade(self, seed: int) -> Cascade:
        return Cascade(self._model, self._images, seed)

    def _explained(self, network: nn.Module) -> Maps:
        return self._invocation.repeat(network).map()

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


def _with_chance(values: list[float]) -> WithChance:
    """Return the value of the map, which is the first, with those of the map in other places."""
    return WithChance(values[0], tuple(values[1:]))


def _mean(measured: Iterable[np.ndarray]) -> float:
    return float(np.mean(list(measured)))
