"""From what the user named to data that are ready to train on: opened, audited, parted, measured."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

from striate.core.errors import DataError
from striate.core.spec import InputSpec, LabelSpec
from striate.data.audit import Audit, audit
from striate.data.dataset import Dataset
from striate.data.measure import measure
from striate.data.split import Parts
from striate.recipes.recipe import Recipe
from striate.recipes.stage import Progress, watched


@dataclass(frozen=True, eq=False)
class Prepared:
    """Data that are ready to train on."""

    dataset: Dataset
    audit: Audit
    input: InputSpec
    labels: LabelSpec

    @property
    def parts(self) -> Parts:
        """The indices of each part, unreadable pictures in none of them."""
        return self.audit.parts

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
    for part in ("train", "val"):
        if not len(found.parts[part]):
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
            found.parts["train"],
            height=choice.height,
            width=choice.width,
            resize=choice.resize,
            crop=choice.crop,
            decode_scale=choice.decode_scale,
            progress=progress,
        ),
    )
    return Prepared(dataset, found, spec, LabelSpec(dataset.classes))


def _check_readable(recipe: Recipe, dataset: Dataset, found: Audit) -> None:
    if len(found.unread) > recipe.unreadable * len(dataset):
        first = found.unread[0]
        raise DataError(
            f"{len(found.unread)} of {len(dataset)} pictures of {dataset.name} cannot be read (the first is "
            f"{first.name}: {first.reason}), which is more than the share of {recipe.unreadable:g} "
            f"that the setting 'unreadable' admits. 'striate data {dataset.source}' lists them all."
        )
