"""Check an explanation: the tests, their order, and how far the budget reaches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import combinations
from typing import Any, TypeVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from striate.explaining.checks.areas import Rounds
from striate.explaining.checks.budget import Budget
from striate.explaining.checks.patches import Effects, Patches
from striate.explaining.checks.reference_maps import Maps, edges, moved, turned
from striate.explaining.checks.result import Classes, Deletions, Depth, RandomisationTest, WithChance
from striate.explaining.checks.similarity import correlation, rank_correlation, ranks, structural_similarity
from striate.explaining.checks.verdict import SAME, Check
from striate.explaining.checks.weights import Cascade
from striate.explaining.invocation import Invocation
from striate.explaining.model_input import as_model_input
from striate.hooks import borrow

NOISE_NETWORKS = 4
"""With all weights noise; their pairs are the chance that the network's own map is compared with."""

ORDERS = 14
"""Random places of the map that deletion, insertion and ROAD are compared with."""

LEAST_ORDERS = 10
"""With fewer there is no result: being better than a few random orders means nothing."""

OTHERS = 2
"""Other classes whose maps are compared with that of the class: those with the next highest scores."""

MOVES = 100
"""Random places of the difference between two classes' maps, which cost no pass of the network."""

AGREES = 1.3
"""Standard deviations above the mean of random places, from which an experiment agrees with the maps: about 90 %."""

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
        elsewhere, classes = checking.elsewhere(), checking.classes()
        evidence, for_class = checking.evidence(), checking.for_class()
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
        classes=classes,
        for_class=for_class,
        evidence=evidence,
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
        self._patches = Patches(model, self._images, self._numbers)
        self._effects: list[Effects] = []  # on the answer, of grey patches and of noisy ones
        self._of_others: list[tuple[list[int], Maps]] = []
        self._turned = [each for each in turned(maps) if rank_correlation(maps, each).mean() <= SAME]
        self.constant = not np.ptp(maps, axis=(1, 2)).any()
        self.skipped: tuple[str, ...] = ()
        self.empty_maps = 0

    def repetition(self) -> float | None:
        """Return how similar the map is to that of a repeated call."""
        for again in self._within([self._model], "repetition"):
            return float(rank_correlation(self._map, self._explained(again)).mean())
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

    def classes(self) -> Classes | None:
        """Compare the map with that of another class, in the network and with a random topmost layer."""
        others = self._other_classes()
        if not others:
            return None
        likeness = []
        for network in self._within([self._model, self._cascade(1).down_to(1)], "comparison of classes"):
            maps = self._explained(network, others[0])
            own = self._map if network is self._model else self._explained(network)
            likeness.append(float(rank_correlation(own, maps).mean()))
            if network is self._model:
                self._of_others.append((others[0], maps))
        for other in self._within(others[1:], "maps of other classes"):
            self._of_others.append((other, self._explained(self._model, other)))
        return Classes(*likeness) if len(likeness) == 2 else None

    def _other_classes(self) -> list[list[int]]:
        """Return the classes with the next highest scores, for each image; none if the target is not a class."""
        target = self._invocation.target
        if target is None or callable(target):
            return []
        with torch.no_grad():
            logits = self._model(self._images.clone())
        own = torch.as_tensor(target, device=logits.device).expand(len(logits))
        ranked = logits.scatter(1, own[:, None], -torch.inf).argsort(1, descending=True)
        return ranked[:, : min(OTHERS, logits.shape[1] - 1)].T.tolist()

    def evidence(self) -> WithChance | None:
        """Measure whether the answer falls where the map is high, as one patch after another turns grey."""
        experiments = self._patches.greyed, self._patches.shaken
        self._effects = [experiment() for experiment in self._within(experiments, "patches")]
        if not self._effects:
            return None
        falls = self._of_classes(self._effects[0], self._invocation.target)
        return self._with_chance([_mean([rank_correlation(self._patches.under(each), falls)]) for each in self._maps()])

    def for_class(self) -> WithChance | None:
        """Measure whether the maps of two classes differ as the evidence for them does, or their sensitivity.

        The difference of the maps' ranks is compared with the difference of the effects of a patch on both logits,
        image by image and for each of the other classes. Chance is the difference of the maps in other places. The
        result is that of the experiment that agrees with the maps, since gradients show sensitivity, and other methods
        show evidence; where none does, of the one that is further from chance.
        """
        if not self._of_others or not self._effects:
            return None
        own = ranks(self._map)
        pooled = [(other, self._pooled_moves(own - ranks(maps))) for other, maps in self._of_others]
        found = []
        for effects in self._effects:
            mine = self._of_classes(effects, self._invocation.target)
            against = [(ranks(mine - self._of_classes(effects, other)), moves) for other, moves in pooled]
            similar = [[correlation(each, effect) for each in moves] for effect, moves in against]
            here, *elsewhere = np.mean(similar, axis=(0, 2)).tolist()
            found.append(WithChance(here, tuple(elsewhere)))
        apart = [float(each.standardized(MOVES)[0]) for each in found]
        furthest = int(np.argmax(np.abs(apart)))
        return found[int(np.argmax(apart)) if max(apart) >= AGREES else furthest]

    def _pooled_moves(self, maps: Maps) -> list[np.ndarray]:
        """Return the means of the maps under the patches, and those of the maps in random places."""
        return [self._patches.under(each) for each in (maps, *(moved(maps, seed) for seed in range(MOVES)))]

    def _of_classes(self, effects: Effects, target: Any) -> Float[np.ndarray, "n rows columns"]:
        """Return the effects on the class of each image, or on the value of a function target."""
        columns = np.zeros(len(effects), int) if callable(target) else np.broadcast_to(target, len(effects))
        return effects[np.arange(len(effects)), :, :, columns]

    def deletions(self) -> Deletions | None:
        """Measure deletion and insertion for the map, for turned ones, and for the map in other places."""
        maps = self._maps()
        areas = [
            self._rounds.areas(each, seed)
            for seed, each in self._within(list(enumerate(maps)), "deletion and insertion")
        ]
        deletion = self._with_chance([each.deletion for each in areas])
        insertion = self._with_chance([each.insertion for each in areas])
        return None if deletion is None or insertion is None else Deletions(deletion, insertion)

    def road(self) -> WithChance | None:
        """Measure the mean score as the pixels are imputed, for the map, for turned ones, and in other places."""
        maps = list(enumerate(self._maps()))
        return self._with_chance([self._rounds.imputed(each, seed) for seed, each in self._within(maps, "ROAD")])

    def _maps(self) -> list[Maps]:
        """Return the map, those turned ones that are not nearly the same, and the map in random places."""
        return [self._map, *self._turned, *(moved(self._map, seed) for seed in range(ORDERS))]

    def _with_chance(self, values: list[float]) -> WithChance | None:
        """Return the value of the map with those of the others; None if too few of them were measured."""
        first = 1 + len(self._turned)
        if len(values) < first + LEAST_ORDERS:
            return None
        return WithChance(values[0], tuple(values[first:]), tuple(values[1:first]))

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

    def _explained(self, network: nn.Module, target: list[int] | None = None) -> Maps:
        call = self._invocation if target is None else replace(self._invocation, target=target)
        return call.repeat(network).map()

    def _numbers(self, answer: Any) -> Tensor:
        """Return what patches change: the logits, or the value of a function target."""
        target = self._invocation.target
        return target(answer)[:, None] if callable(target) else answer

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
