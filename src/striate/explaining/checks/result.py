"""What a check found: numbers, each beside what chance gives, and what was not done."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from striate.explaining.checks.areas import Areas


@dataclass(frozen=True)
class Beside:
    """A number and those that chance gave for the same thing."""

    value: float
    chance: tuple[float, ...]

    @property
    def verdict(self) -> Literal["above", "within", "below"]:
        """Where the number lies: above all of chance's, below all of them, or between."""
        if self.value > max(self.chance):
            return "above"
        return "below" if self.value < min(self.chance) else "within"

    def __str__(self) -> str:
        low, high = min(self.chance), max(self.chance)
        return f"{self.value:.3f}, {self.verdict} chance ({low:.3f} to {high:.3f})"


@dataclass(frozen=True)
class Noise:
    """How the map compares with those of networks whose weights are all noise.

    `rank` and `structure`: how alike it is to them, by rank correlation and SSIM; chance is how alike those are to one
    another, pair by pair. `edges`: the rank correlation of the sizes of its values with the edges in the picture, and
    `noise_edges` that of theirs; chance is the same edges in other places.
    """

    rank: Beside
    structure: Beside
    edges: Beside
    noise_edges: Beside


@dataclass(frozen=True)
class Depth:
    """How alike the map is to the one of the network whose `layers` topmost layers are noise."""

    layers: int
    rank: float
    structure: float


@dataclass(frozen=True)
class Deletions:
    """Areas under the score as the pixels that the map calls important go (low if it is right) and come (high).

    Chance is the map in other places by lot; `blob` in the middle of the picture.
    """

    deletion: Beside
    insertion: Beside
    blob: Areas


@dataclass(frozen=True)
class Check:
    """What came of trying an explanation, in means over its pictures; printed, it is one line.

    `noise`, `deletions` and `depths` are None, or empty, where they did not fit into the budget; `undone` names all
    that did not. `blank`: how many networks of noise gave a map that is the same everywhere, and so were left out; with
    fewer than two others `noise` is None. `residue`: by how much an additive method misses the difference that its
    values should add up to, as a share of it.
    """

    method: str
    pictures: int
    budget: str
    noise: Noise | None
    blank: int
    deletions: Deletions | None
    depths: tuple[Depth, ...]
    residue: float | None
    undone: tuple[str, ...]

    @property
    def remarks(self) -> tuple[str, ...]:
        """What follows from the numbers and is easily overlooked."""
        noise = self.noise
        if noise is None or {noise.edges.verdict, noise.noise_edges.verdict} != {"above"}:
            return ()
        return (
            f"it draws edges whatever the weights: its sizes follow the edges in the picture (rank correlation "
            f"{noise.edges}), and still do when all weights are noise ({noise.noise_edges}), so edges in it are no "
            f"sign of what the network has learned",
        )

    def __str__(self) -> str:
        told = [*self._noise(), *self._depths(), *self._deletions(), *self._completeness(), *self.remarks]
        if self.undone:
            told.append(f"not done within {self.budget}: {', '.join(self.undone)}")
        return f"{self.method}, {self.pictures} picture{'s' * (self.pictures != 1)}: {'; '.join(told)}."

    def _noise(self) -> list[str]:
        told = []
        if self.noise is not None:
            likeness = f"rank correlation {self.noise.rank}, SSIM {self.noise.structure}"
            told.append(f"likeness to noise for weights: {likeness}")
        if self.blank:
            told.append(f"with noise for weights it was empty {self.blank} {'time' if self.blank == 1 else 'times'}")
        return told

    def _depths(self) -> list[str]:
        stops = ", ".join(f"{each.rank:.3f} at {each.layers}" for each in self.depths)
        return [f"with so many layers from the top as noise, rank correlation {stops}"] if stops else []

    def _deletions(self) -> list[str]:
        if self.deletions is None:
            return []
        deletion, insertion, blob = self.deletions.deletion, self.deletions.insertion, self.deletions.blob
        return [
            f"area of deletion {deletion}, centred blob {blob.deletion:.3f}",
            f"area of insertion {insertion}, centred blob {blob.insertion:.3f}",
        ]

    def _completeness(self) -> list[str]:
        if self.residue is None:
            return []
        return [f"its values miss their sum by {self.residue:.2%}"]
