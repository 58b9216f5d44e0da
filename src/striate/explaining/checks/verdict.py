"""The verdict of a check: a table of its tests, and one sentence that says whether to trust the map."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from striate.explaining.checks.result import Deletions, Depth, RandomisationTest, WithChance

SAME = 0.9
"""Rank correlation above which two maps count as the same: a map that is so alike with random weights ignores them."""

SAME_CLASS = 0.98
"""The same where only the weights of its class are random, which are few."""

REPEATED = 0.5
"""Rank correlation below which a repeated map counts as another map."""

EDGES = 0.2
"""Rank correlation with the edges of the image from which a map is reported to draw edges."""

_ABOVE_CHANCE = 0.9  # share of the random places that a measure beats, to be better than chance
_WORSE, _BETTER = 0.1, 0.5  # the same of all measures together: up to the first a map fails, from the second it passes
# Ratio of the spread in the hidden half to that of the map turned: fails above the first, passes up to the second.
_TURNED, _NOT_TURNED = 2.5, 1.25


@dataclass(frozen=True)
class Row:
    """The result of one test: its `value`, and (least, most) of what `chance` gives, where that is known.

    `passed` is None where the row decides nothing, or cannot tell.
    """

    name: str
    value: float | None
    chance: tuple[float, float] | None
    passed: bool | None
    said: str

    def as_dict(self) -> dict[str, Any]:
        """Return the row for JSON."""
        chance = None if self.chance is None else [round(end, 6) for end in self.chance]
        value = None if self.value is None else round(self.value, 6)
        return {"name": self.name, "value": value, "chance": chance, "passed": self.passed, "verdict": self.said}


@dataclass(frozen=True)
class Verdict:
    """`trust`: yes, no, or None where the tests cannot tell, or were not done; `sentence` says why."""

    trust: bool | None
    sentence: str


@dataclass(frozen=True)
class Check:
    """Results of checking an attribution, means over its images; printed, it is the verdict in one line.

    `repetition`: the rank correlation of the map with that of a repeated call; `elsewhere`: with that of the image
    moved by half its size. `constant`: every map is the same everywhere. All are None, or empty, where they did not fit
    into the budget (`own_class` also where the target is a function); `skipped` lists all that did not.
    `own_class`: the rank correlation of the map with that of the network in which the weights of its class are random.
    `unseen`: the spread of the map in a half of the image that is hidden from the network, as a fraction of that of the
    whole; chance is that of the map mirrored and turned.
    `road`: the mean score as pixels are imputed (low if the map is right). `empty_maps`: how many random networks gave
    a constant map, which was left out; with fewer than two others `randomisation` is None. `residue`: by how much the
    values of an additive method miss the difference that they should add up to, as a fraction of it.
    """

    method: str
    images: int
    budget: str
    constant: bool
    repetition: float | None
    randomisation: RandomisationTest | None
    empty_maps: int
    elsewhere: float | None
    own_class: float | None
    unseen: WithChance | None
    deletions: Deletions | None
    road: WithChance | None
    depths: tuple[Depth, ...]
    residue: float | None
    skipped: tuple[str, ...]

    @property
    def rows(self) -> tuple[Row, ...]:
        """The table: a row for each test."""
        return (
            *self._repetition(),
            *self._randomisation(),
            *self._cascade(),
            *self._elsewhere(),
            *self._own_class(),
            *self._unseen(),
            *self._removal(),
            *self._edges(),
            *self._completeness(),
        )

    @property
    def verdict(self) -> Verdict:
        """Whether to trust the map. It fails by the first of these that applies, in this order:

        it is constant; it differs when it is made again; it is the same with random weights, all or from the top down,
        for another image, or with random weights of its class; where half of the image is hidden it is far less flat
        than where, mirrored or turned, that half would be; removing what it marks changes the answer less than removing
        nearly any other place. Where one of the last two is close, the check cannot tell.
        """
        if self.constant:
            return Verdict(False, "do not trust: the map is the same everywhere")
        for row in self.rows:
            if row.passed is False and row.name in _REASONS:
                return Verdict(False, f"do not trust: {_REASONS[row.name]}")
        share = self._share_beaten()
        if share is not None and share <= _WORSE:
            return Verdict(False, f"do not trust: {_NO_EVIDENCE}")
        passed = {row.name: row.passed for row in self.rows}
        missing = [
            what
            for what, known in (
                ("whether the map depends on the weights", passed.get(_RANDOM)),
                ("whether it finds what the answer needs", share is not None),
            )
            if not known
        ]
        if share is None or missing:
            return Verdict(None, f"no verdict: {' and '.join(missing)} was not measured within {self.budget}")
        if share < _BETTER:
            return Verdict(None, f"cannot tell: {_LITTLE_EVIDENCE}")
        if _UNSEEN in passed and passed[_UNSEEN] is None:
            return Verdict(None, "cannot tell: mirrored or turned, the map would fit the network as well")
        return Verdict(True, "trust: the map depends on the weights and finds what the answer needs")

    def as_dict(self) -> dict[str, Any]:
        """Return all results for JSON."""
        verdict = self.verdict
        return {
            "trust": verdict.trust,
            "verdict": verdict.sentence,
            "rows": [row.as_dict() for row in self.rows],
            "not_done": list(self.skipped),
            "budget": self.budget,
        }

    def __str__(self) -> str:
        return self.verdict.sentence

    def _repetition(self) -> Iterator[Row]:
        if self.repetition is not None:
            passed = self.repetition >= REPEATED
            said = "made again, it is the same" if passed else "made again, it is another map"
            yield Row(_AGAIN, self.repetition, None, passed, said)

    def _randomisation(self) -> Iterator[Row]:
        if self.randomisation is not None:
            passed = self.randomisation.rank.value <= SAME
            said = "depends on the weights" if passed else "the same with random weights"
            yield Row(_RANDOM, self.randomisation.rank.value, self.randomisation.rank.ends, passed, said)
        elif self.empty_maps:
            yield Row(_RANDOM, 0.0, None, True, "depends on the weights: empty with random ones")

    def _cascade(self) -> Iterator[Row]:
        if self.depths:
            least = min(each.rank for each in self.depths)
            passed = least <= SAME
            said = "changes as layers become random" if passed else "does not change as layers become random"
            yield Row(_CASCADE, least, None, passed, said)

    def _elsewhere(self) -> Iterator[Row]:
        if self.elsewhere is not None:
            passed = self.elsewhere <= SAME
            said = "depends on the image" if passed else "the same for another image"
            yield Row(_IMAGE, self.elsewhere, None, passed, said)

    def _own_class(self) -> Iterator[Row]:
        if self.own_class is not None:
            passed = self.own_class <= SAME_CLASS
            said = "depends on the weights of its class" if passed else "the same with random weights of its class"
            yield Row(_CLASS, self.own_class, None, passed, said)

    def _unseen(self) -> Iterator[Row]:
        if self.unseen is not None:
            value, others = self.unseen.value, self.unseen.ends
            passed = True if value <= _NOT_TURNED * others[0] else False if value > _TURNED * others[0] else None
            said = {
                True: "flattest where the image is hidden",
                False: "flat elsewhere than where the image is hidden",
                None: "not flattest where the image is hidden",
            }
            yield Row(_UNSEEN, value, others, passed, said[passed])

    def _removal(self) -> Iterator[Row]:
        """Yield whether each measure is better than in `_ABOVE_CHANCE` of the random places."""
        for name, measured, sign in self._measures():
            share = measured.share_better(sign)
            passed = share >= _ABOVE_CHANCE
            said = "better than chance" if passed else f"better than {share:.0%} of random places"
            yield Row(name, measured.value, measured.ends, passed, said)

    def _measures(self) -> Iterator[tuple[str, WithChance, int]]:
        """Yield each measure with the sign that makes larger values better."""
        if self.deletions is not None:
            yield "deletion", self.deletions.deletion, -1
            yield "insertion", self.deletions.insertion, 1
        if self.road is not None:
            yield "ROAD", self.road, -1

    def _share_beaten(self) -> float | None:
        """Return the share of the random places that the map beats, by the mean of all measures.

        Each measure is divided by its spread over the random places.
        """
        measures = list(self._measures())
        if not measures:
            return None
        places = min(len(measured.chance) for _, measured, _ in measures)
        own, *chance = np.mean([sign * measured.standardized(places) for _, measured, sign in measures], axis=0)
        return float((own > np.array(chance)).mean())

    def _edges(self) -> Iterator[Row]:
        if self.randomisation is None:
            return
        edges, noise = self.randomisation.edges, self.randomisation.noise_edges
        drawn = min(edges.value, noise.value) >= EDGES and (edges.verdict, noise.verdict) == ("above", "above")
        said = "draws edges with random weights too: edges in it are no evidence" if drawn else "no more than expected"
        yield Row("edges", edges.value, edges.ends, None, said)

    def _completeness(self) -> Iterator[Row]:
        if self.residue is not None:
            yield Row("completeness", self.residue, None, None, "share by which the values miss their sum")


_AGAIN, _RANDOM, _CASCADE, _IMAGE = "repetition", "randomisation", "cascade", "other image"
_CLASS, _UNSEEN = "class weights", "hidden half"
_REASONS = {
    _AGAIN: "made again with the same weights, it is another map",
    _RANDOM: "it looks the same with random weights",
    _CASCADE: "it hardly changes as the layers become random",
    _IMAGE: "it looks the same for another image",
    _CLASS: "it looks the same with random weights of its class",
    _UNSEEN: "it marks a half of the image that is hidden, as if it were mirrored or turned",
}
_NO_EVIDENCE = "removing what it marks changes the answer less than removing other places"
_LITTLE_EVIDENCE = "removing what it marks changes the answer no more than removing other places"
