"""Concepts tested on a class: their scores, and a sheet with their images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from striate.classifier import Classifier
from striate.core.progress import Progress, silent
from striate.data.images.decode import Unreadable, decode
from striate.data.preparation.arrays import prepare, scale
from striate.explaining import ConceptScore, tcav
from striate.explaining.inspection.tcav import p_value
from striate.plot import LIGHT, Theme, Tile, coloured, sheet, tiles
from striate.reporting.numbers import percent
from striate.reporting.sheets.rgb import Rgb, shown_input

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_BATCH = 32
_SHOWN = 9  # images of each set on the sheet
_COLUMNS = 4

Prepared = list[tuple[list[int], Tensor]]


@dataclass(frozen=True, eq=False)
class TestedConcepts:
    """Concepts tested on the class `label`: the scores, and images of each concept and of the random set.

    `against` says which images the random set has.
    """

    label: str
    scores: tuple[ConceptScore, ...]
    examples: Mapping[str, Rgb]
    random: Rgb
    against: str


def prepared(classifier: Classifier, paths: Sequence[Path], unreadable: list[Unreadable]) -> Prepared:
    """Return batches of the images in files, prepared; those that cannot be read are added to `unreadable`."""
    rows = []
    for path in paths:
        try:
            rows.append(prepare(decode(path, classifier.input), classifier.input))
        except Unreadable as error:
            unreadable.append(error)
    parts = [rows[start : start + _BATCH] for start in range(0, len(rows), _BATCH)]
    return [(list(range(len(part))), scale(torch.from_numpy(np.stack(part)), classifier.input)) for part in parts]


def try_concepts(
    classifier: Classifier,
    concepts: Mapping[str, Prepared],
    random: Prepared,
    images: Prepared,
    target: int,
    *,
    against: str,
    at: str | None = None,
    progress: Progress = silent,
) -> TestedConcepts:
    """Test whether each of `concepts` influences the score of the class `target`, of which there are `images`.

    `against` says which images `random` has.

    Raises:
        StriateError: as `striate.explaining.tcav`.
    """
    total = sum(map(len, [random, images, *concepts.values()]))
    done = iter(range(1, total + 1))

    def followed(batches: Prepared) -> Iterator[tuple[list[int], Tensor]]:
        for batch in batches:
            yield batch
            progress("comparing activations", next(done), total)

    given = {name: followed(batches) for name, batches in concepts.items()}
    scores = tcav(classifier.model, given, followed(random), followed(images), target, at=at)
    examples = {name: _examples(classifier, batches) for name, batches in concepts.items()}
    return TestedConcepts(classifier.labels.classes[target], scores, examples, _examples(classifier, random), against)


def _examples(classifier: Classifier, batches: Prepared) -> Rgb:
    images = torch.cat([images for _, images in batches])
    chosen = np.linspace(0, len(images) - 1, min(_SHOWN, len(images))).astype(int)
    drawn = [coloured(shown_input(images[one].numpy(), classifier.input)) for one in chosen]
    return sheet(np.stack(drawn), columns=3, gap=2)


def concepts_sheet(found: TestedConcepts, *, theme: Theme = LIGHT) -> Figure:
    """Draw images of each concept with its score and what that means, then the random images."""
    shown = [Tile(found.examples[score.concept], _caption(score)) for score in found.scores]
    low, high = np.quantile(np.concatenate([score.random for score in found.scores]), (0.05, 0.95))
    shown.append(
        Tile(found.random, (f"compared with {found.against}", f"TCAV {low:.2f} to {high:.2f} in 90 % of the runs"))
    )
    place = found.scores[0].place
    note = (
        f"TCAV: the fraction of images of the class whose score rises when the activation at {place} moves towards the "
        f"concept; 0.5 by chance. Recognized: how well the activation tells the concept from {found.against}."
    )
    return tiles(shown, columns=_COLUMNS, title=f"Concepts for {found.label}", note=note, theme=theme)


def _caption(score: ConceptScore) -> tuple[str, ...]:
    return (
        f"{score.concept}: {meaning(score)}",
        f"TCAV {score.score:.2f} ± {score.scores.std():.2f}, {p_value(score)}",
        f"recognized: {percent(score.accuracy, 0)}",
    )


def meaning(score: ConceptScore) -> str:
    """Return in a few words what the test has shown."""
    if not score.significant:
        return "no significant influence on the score"
    return "raises the score" if score.score > 0.5 else "lowers the score"
