"""The verdict of a check: a table of its tests, and one sentence that says whether to trust the map."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from striate.explaining.checks.result import Classes, Deletions, Depth, RandomisationTest, WithChance

SAME = 0.9
"""Rank correlation above which two maps count as the same: a map that is so alike with random weights ignores them."""

SAME_CLASS = 0.98
"""The same for two classes of one network, whose evidence may lie in the same place."""

REPEATED = 0.5
"""Rank correlation below which a repeated map counts as another map."""

EDGES = 0.2
"""Rank correlation with the edges of the image from which a map is reported to draw edges."""

_ABOVE_CHANCE = 0.95  # share of the random places that the map must find better evidence than


@dataclass(frozen=True)
class Row:
    """The result of one test: its `value`, and (least, most) of what `chance` gives, where that is known.

    `passed` is None where the row decides nothing, or was not measured (`value` is None then too).
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
    """`trust`: yes, no, or None where too little was measured to say; `sentence` says why."""

    trust: bool | None
    sentence: str


@dataclass(frozen=True)
class Check:
    """Results of checking an attribution, means over its images; printed, it is the verdict in one line.

    `repetition`: the rank correlation of the map with that of a repeated call. `constant`: every map is the same
    everywhere. `randomisation`, `classes`, `deletions`, `road` and `depths` are None, or empty, where they did not fit
    into the budget (`classes` also where there is no other class); `skipped` lists all that did not. `road`: the mean
    score as pixels are imputed (low if the map is right). `empty_maps`: how many random networks gave a constant map,
    which was left out; with fewer than two others `randomisation` is None. `residue`: by how much the values of an
    additive method miss the difference that they should add up to, as a fraction of it.
    """

    method: str
    images: int
    budget: str
    constant: bool
    repetition: float | None
    randomisation: RandomisationTest | None
    empty_maps: int
    classes: Classes | None
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
            *self._classes(),
            *self._removal(),
            *self._edges(),
            *self._completeness(),
        )

    @property
    def verdict(self) -> Verdict:
        """Whether to trust the map. It fails by the first of these that applies, in this order:

        it is constant; it differs when it is made again; it is the same with random weights, all or from the top down;
        it is the same for another class; removing what it marks changes the answer no more than removing other places.
        """
        if self.constant:
            return Verdict(False, "do not trust: the map is the same everywhere")
        for row in self.rows:
            if row.passed is False and row.name in _REASONS:
                return Verdict(False, f"do not trust: {_REASONS[row.name]}")
        evidence = self._finds_evidence()
        if evidence is False:
            return Verdict(False, f"do not trust: {_NO_EVIDENCE}")
        depends = any(row.passed for row in self.rows if row.name == _RANDOM)
        if depends and evidence:
            return Verdict(True, "trust: the map depends on the weights and finds what the answer needs")
        missing = " and ".join(
            what
            for what, known in (
                ("whether the map depends on the weights", depends),
                ("whether it finds what the answer needs", evidence is not None),
            )
            if not known
        )
        return Verdict(None, f"no verdict: {missing} was not measured within {self.budget}")

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

    def _removal(self) -> Iterator[Row]:
        """Yield whether deletion, insertion and ROAD are each better than in `_ABOVE_CHANCE` of the random places."""
        for name, measured, sign in self._measures():
            share = measured.share_better(sign)
            passed = share >= _ABOVE_CHANCE
            said = "better than chance" if passed else f"chance: better than {share:.0%} of random places"
            yield Row(name, measured.value, measured.ends, passed, said)

    def _measures(self) -> Iterator[tuple[str, WithChance, int]]:
        """Yield each measure with the sign that makes larger values better."""
        if self.deletions is not None:
            yield "deletion", self.deletions.deletion, -1
            yield "insertion", self.deletions.insertion, 1
        if self.road is not None:
            yield "ROAD", self.road, -1

    def _finds_evidence(self) -> bool | None:
        """Whether the map finds what the answer needs: judged by deletion, insertion and ROAD together.

        Each is divided by its spread over the random places, and their mean is compared with that of those places.
        """
        measures = list(self._measures())
        if not measures:
            return None
        places = min(len(measured.chance) for _, measured, _ in measures)
        together = np.mean([sign * measured.standardized(places) for _, measured, sign in measures], axis=0)
        return bool((together[0] > together[1:]).mean() >= _ABOVE_CHANCE)

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


_AGAIN, _RANDOM, _CASCADE, _CLASS = "repetition", "randomisation", "cascade", "other class"
_REASONS = {
    _AGAIN: "made again with the same weights, it is another map",
    _RANDOM: "it looks the same with random weights",
    _CASCADE: "it hardly changes as the layers become random",
    _CLASS: "it looks the same for another class",
}
_NO_EVIDENCE = "removing what it marks changes the answer no more than removing other places"
