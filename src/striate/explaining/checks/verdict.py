"""The verdict of a check: a table of its tests, and one sentence that says whether to trust the map."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from striate.explaining.checks.result import Classes, Deletions, Depth, RandomisationTest, WithChance

SAME = 0.9
"""Rank correlation above which two maps count as the same: a map that is so alike with random weights ignores them."""

SAME_CLASS = 0.98
"""The same for two classes of one network, whose evidence may lie in the same place."""

REPEATED = 0.5
"""Rank correlation below which a repeated map counts as another map."""

EDGES = 0.2
"""Rank correlation with the edges of the image from which a map is reported to draw edges."""

_ABOVE_CHANCE, _NO_BETTER = 0.9, 0.5  # shares of the random places: from the first on a map finds evidence
_TURNED_FINDS_MORE = 3.0  # standard deviations of the random places, by which a turned map is better
_FOR_CLASS, _FOR_ANOTHER = 0.9, 0.02  # shares of the random places of the difference of two classes' maps


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


@dataclass(frozen=True, eq=False)
class _Standing:
    """How much the map finds, how much it finds in random places, and how much when mirrored or turned."""

    own: float
    chance: Float[np.ndarray, " m"]
    turned: Float[np.ndarray, " t"]

    @property
    def share(self) -> float:
        """The share of the random places that the map beats."""
        return float((self.own > self.chance).mean())


@dataclass(frozen=True)
class Check:
    """Results of checking an attribution, means over its images; printed, it is the verdict in one line.

    `repetition`: the rank correlation of the map with that of a repeated call; `elsewhere`: with that of the image
    moved by half its size. `constant`: every map is the same everywhere. All are None, or empty, where they did not fit
    into the budget (`classes` and `for_class` also where there is no other class); `skipped` lists all that did not.
    `for_class`: the rank correlation between the difference of two classes' maps and the difference of what patches
    change in their scores. `evidence`: the rank correlation of the map with the fall of the score as patches turn grey.
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
    classes: Classes | None
    for_class: WithChance | None
    evidence: WithChance | None
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
            *self._classes(),
            *self._for_class(),
            *self._removal(),
            *self._turned(),
            *self._edges(),
            *self._completeness(),
        )

    @property
    def verdict(self) -> Verdict:
        """Whether to trust the map. It fails by the first of these that applies, in this order:

        it is constant; it differs when it is made again; it is the same with random weights, all or from the top down,
        for another image, or for another class; it follows the evidence for another class; mirrored or turned, it finds
        far more; removing what it marks changes the answer no more than removing other places. Where the last three
        cannot tell, there is no verdict.
        """
        if self.constant:
            return Verdict(False, "do not trust: the map is the same everywhere")
        for row in self.rows:
            if row.passed is False and row.name in _REASONS:
                return Verdict(False, f"do not trust: {_REASONS[row.name]}")
        standing = self._standing()
        if standing is not None and standing.share <= _NO_BETTER:
            return Verdict(False, f"do not trust: {_NO_EVIDENCE}")
        passed = {row.name: row.passed for row in self.rows}
        has_class = self.classes is not None
        missing = [
            what
            for what, known in (
                ("whether the map depends on the weights", passed.get(_RANDOM)),
                ("whether it argues for this class", not has_class or _FOR in passed),
                ("whether it finds what the answer needs", standing is not None),
            )
            if not known
        ]
        if standing is None or missing:
            return Verdict(None, f"no verdict: {' and '.join(missing)} was not measured within {self.budget}")
        if standing.share < _ABOVE_CHANCE:
            return Verdict(None, f"cannot tell: {_LITTLE_EVIDENCE}")
        for name, reason in _DOUBTS.items():
            if name in passed and passed[name] is None:
                return Verdict(None, f"cannot tell: {reason}")
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

    def _classes(self) -> Iterator[Row]:
        if self.classes is not None:
            same = min(self.classes.trained, self.classes.random_head) > SAME_CLASS
            said = "the same for another class" if same else "depends on the class"
            yield Row(_CLASS, self.classes.trained, None, not same, said)

    def _elsewhere(self) -> Iterator[Row]:
        if self.elsewhere is not None:
            passed = self.elsewhere <= SAME
            said = "depends on the image" if passed else "the same for another image"
            yield Row(_IMAGE, self.elsewhere, None, passed, said)

    def _for_class(self) -> Iterator[Row]:
        if self.for_class is not None:
            share = self.for_class.share_better(1)
            passed = True if share >= _FOR_CLASS else False if share <= _FOR_ANOTHER else None
            said = {
                True: "argues for this class",
                False: "argues for another class",
                None: "cannot tell which class it argues for",
            }
            yield Row(_FOR, self.for_class.value, self.for_class.ends, passed, said[passed])

    def _removal(self) -> Iterator[Row]:
        """Yield whether each measure is better than in `_ABOVE_CHANCE` of the random places."""
        for name, measured, sign in self._measures():
            share = measured.share_better(sign)
            passed = share >= _ABOVE_CHANCE
            said = "better than chance" if passed else f"better than {share:.0%} of random places"
            yield Row(name, measured.value, measured.ends, passed, said)

    def _turned(self) -> Iterator[Row]:
        standing = self._standing()
        if standing is not None:
            turned = standing.turned
            beaten = int((standing.own > turned).sum())
            passed = True if len(turned) and beaten == len(turned) else None
            said = f"better than {beaten} of {len(turned)} mirrored or turned maps"
            if not len(turned):
                said = "mirrored or turned, it is nearly the same"
            elif turned.max() - standing.own >= _TURNED_FINDS_MORE:
                passed, said = False, "mirrored or turned, it finds far more"
            yield Row(_TURNED, beaten / max(1, len(turned)), None, passed, said)

    def _measures(self) -> Iterator[tuple[str, WithChance, int]]:
        """Yield each measure with the sign that makes larger values better."""
        if self.evidence is not None:
            yield "grey patches", self.evidence, 1
        if self.deletions is not None:
            yield "deletion", self.deletions.deletion, -1
            yield "insertion", self.deletions.insertion, 1
        if self.road is not None:
            yield "ROAD", self.road, -1

    def _standing(self) -> _Standing | None:
        """Judge by all measures together, each divided by its spread over the random places; None if too few are known.

        Grey patches alone are too few.
        """
        measures = list(self._measures())
        if self.deletions is None:
            return None
        places = min(len(measured.chance) for _, measured, _ in measures)
        together = np.mean([sign * measured.standardized(places) for _, measured, sign in measures], axis=0)
        return _Standing(together[0], together[1 : 1 + places], together[1 + places :])

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
_CLASS, _FOR, _TURNED = "other class", "this class", "turned"
_REASONS = {
    _AGAIN: "made again with the same weights, it is another map",
    _RANDOM: "it looks the same with random weights",
    _CASCADE: "it hardly changes as the layers become random",
    _IMAGE: "it looks the same for another image",
    _CLASS: "it looks the same for another class",
    _FOR: "it follows the evidence for another class",
    _TURNED: "mirrored or turned, it finds far more",
}
_NO_EVIDENCE = "removing what it marks changes the answer no more than removing other places"
_LITTLE_EVIDENCE = "removing what it marks changes the answer little more than removing other places"
_DOUBTS = {
    _FOR: "it may be the map of another class, whose evidence lies in the same places",
    _TURNED: "mirrored or turned, the map would find as much",
}
