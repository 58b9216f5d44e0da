"""From what the user named to data that are ready to train on: opened, audited, parted, measured."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, replace

import numpy as np

from striate.core.errors import DataError
from striate.core.spec import InputSpec, LabelSpec
from striate.data.audit import Audit, audit
from striate.data.dataset import Dataset, Split
from striate.data.measure import measure
from striate.data.split import split
from striate.recipes.recipe import Recipe
from striate.recipes.stage import Progress, watched


@dataclass(frozen=True, eq=False)
class Prepared:
    """Data that are ready: `parts` holds the indices of each split, unreadable pictures in none of them."""

    dataset: Dataset
    audit: Audit
    parts: dict[Split, np.ndarray]
    input: InputSpec
    labels: LabelSpec

    @property
    def counts(self) -> dict[str, int]:
        """The number of pictures in each split that has any."""
        return {part: len(indices) for part, indices in self.parts.items() if len(indices)}


def prepare_data(recipe: Recipe, dataset: Dataset) -> Generator[Progress, None, Prepared]:
    """Audit `dataset`, part it and measure how its pictures are to be fed.

    Raises:
        DataError: more pictures are unreadable than the recipe admits, or nothing is left to train or validate on.
    """
    found = yield from watched("looking through the pictures", lambda progress: audit(dataset, progress=progress))
    _check_readable(recipe, dataset, found)
    parts = split(dataset, found.survey)
    for part in ("train", "val"):
        if not len(parts[part]):
            raise DataError(
                f"{dataset.name} leaves no picture for {part}: a training needs some to learn from and some to judge "
                "each epoch by."
            )
    choice = recipe.input
    spec = yield from watched(
        "preparing the pictures",
        lambda progress: measure(
            dataset,
            found.survey,
            parts["train"],
            height=choice.height,
            width=choice.width,
            resize=choice.resize,
            progress=progress,
        ),
    )
    spec = replace(spec, decode_scale=choice.decode_scale)
    return Prepared(dataset, found, parts, spec, LabelSpec(dataset.classes))


def _check_readable(recipe: Recipe, dataset: Dataset, found: Audit) -> None:
    reasons = found.survey.reasons
    broken = np.flatnonzero(reasons != "")
    if len(broken) > recipe.unreadable * len(dataset):
        first = int(broken[0])
        raise DataError(
            f"{len(broken)} of {len(dataset)} pictures of {dataset.name} cannot be read (the first is "
            f"{dataset.store.name(first)}: {reasons[first]}), which is more than the share of {recipe.unreadable:g} "
            f"that the setting 'unreadable' admits. 'striate data {dataset.source}' lists them all."
        )
