"""From what the user named to data that are ready to train on: opened, audited, parted, measured."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, Protocol, runtime_checkable

import numpy as np

from striate.classifier import Classifier, SeenImages
from striate.core.errors import DataError, RunError, command
from striate.core.files import write_json
from striate.core.progress import Progress, renamed, silent
from striate.core.protocols import Batches
from striate.core.spec import InputSpec, LabelSpec
from striate.data.audit.audit import Audit, audit
from striate.data.augmentation.augment import augmentations_in_effect
from striate.data.dataset import Dataset, Split
from striate.data.loading.batching import batches_of
from striate.data.loading.loader import Loader
from striate.data.preparation.measure import measure
from striate.data.sources.opening import open_data
from striate.data.split import Parts
from striate.runs.evaluate import GoneError, answers, matched, unread
from striate.runs.folder import Plan, Run
from striate.runs.images import Changes, compare, read_images, write_images
from striate.runs.origin import Origin
from striate.runs.recipe import Recipe
from striate.training import Outputs

LEARNED = 2000  # as many images of the training split, at most about, are judged


@runtime_checkable
class TrainingData(Protocol):
    """What a run needs of its data: how the model is fed, what its outputs mean, batches, and answers to judge.

    `counts` is the number of images in each split that has any, `digest` changes with the data, `warnings` are
    sentences for the user. `digests` are those of all images, where they are known, and `seen` those that a classifier
    trained on them has seen.
    """

    @property
    def input(self) -> InputSpec: ...
    @property
    def labels(self) -> LabelSpec: ...
    @property
    def counts(self) -> dict[str, int]: ...
    @property
    def digest(self) -> str: ...
    @property
    def warnings(self) -> tuple[str, ...]: ...
    @property
    def digests(self) -> np.ndarray: ...
    @property
    def seen(self) -> SeenImages | None: ...

    def load(self, recipe: Recipe, *, progress: Progress = silent) -> tuple[Batches, Batches]:
        """Return the batches to train on and those to validate each epoch by."""
        ...

    def answers(self, classifier: Classifier, split: Split) -> Outputs | None:
        """Return the classifier's outputs for a split, of the training split for some 2,000 images; None if empty."""
        ...

    def names(self, split: Split, index: np.ndarray) -> tuple[str, ...]:
        """Return the names of images."""
        ...

    def unread(self, split: Split, outputs: Outputs | None) -> tuple[str, ...]:
        """Return the names of images that `answers` left out because they cannot be read any more."""
        ...

    def smallest_batch(self, recipe: Recipe) -> int:
        """Return how many images the smallest batch of the training has."""
        ...

    def record(self, run: Run) -> None:
        """Write what is known of the data into the run."""
        ...


@dataclass(frozen=True, eq=False)
class Prepared:
    """Data that are ready to train on.

    `recorded`: the splits are those that the run recorded when it began. `steps`: into how many batches an epoch is
    divided, where the batch size does not decide it.
    """

    dataset: Dataset
    audit: Audit
    input: InputSpec
    labels: LabelSpec
    recorded: bool = False
    steps: int | None = None

    @property
    def parts(self) -> Parts:
        """The indices of each part, unreadable pictures in none of them."""
        return self.audit.parts

    @property
    def counts(self) -> dict[str, int]:
        """The number of pictures in each split that has any."""
        return {part: len(indices) for part, indices in self.parts.items() if len(indices)}

    @property
    def digest(self) -> str:
        """The digest of images, labels and splits."""
        return self.audit.digest

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the audit found worth a sentence."""
        return self.audit.warnings

    @property
    def digests(self) -> np.ndarray:
        """The content digest of each image of the data set."""
        return self.audit.survey.digests

    @property
    def seen(self) -> SeenImages:
        """The images of the training and validation splits."""
        return SeenImages(self.digests[self.parts["train"]], self.digests[self.parts["val"]])

    def load(self, recipe: Recipe, *, progress: Progress = silent) -> tuple[Batches, Batches]:
        """Make the loaders; images that fit in memory are decoded now.

        Raises:
            DataError: too few images are left.
        """
        count, validation = (len(self.parts[split]) for split in ("train", "val"))
        if not validation or count < 2 * (self.steps or 0):
            raise DataError(
                f"Too few of the images that this run was started with remain ({count:,} to train on, {validation:,} "
                "to validate). Restore them, or end the run where it is: striate finish."
            )
        augmentations = augmentations_in_effect(recipe.augmentation, self.input, self.labels.classes)

        def loader(split: Literal["train", "val"]) -> Loader:
            learning = split == "train"
            return Loader(
                self.dataset,
                self.parts[split],
                self.input,
                batch_size=recipe.batch_size if learning else 256,
                steps=self.steps if learning else None,
                seed=recipe.seed,
                shuffle=learning,
                augmentations=augmentations if learning else (),
                digests=self.digests,
                memory="auto" if recipe.in_memory else "never",
                threads=recipe.loader_threads,
                progress=renamed(progress, f"loading the {'training' if learning else 'validation'} split"),
            )

        return loader("train"), loader("val")

    def answers(self, classifier: Classifier, split: Split) -> Outputs | None:
        """Judge a split without images that cannot be read any more; None where none is left."""
        indices = self._judged(split)
        if not len(indices):
            return None
        try:
            return answers(classifier, self.dataset, indices)
        except GoneError:
            return None

    def _judged(self, split: Split) -> np.ndarray:
        """The images of a split that are judged: of the training split as many as `LEARNED`, evenly chosen, enough to
        see how much better the classifier does on what it has learned from."""
        indices = self.parts[split]
        return indices[:: max(1, -(-len(indices) // LEARNED))] if split == "train" else indices

    def names(self, split: Split, index: np.ndarray) -> tuple[str, ...]:
        """Return the names of images of the data set."""
        return tuple(self.dataset.store.name(number) for number in index.tolist())

    def unread(self, split: Split, outputs: Outputs | None) -> tuple[str, ...]:
        """Return the names of images that could be read when they were looked through."""
        return unread(self.dataset, self._judged(split), outputs)

    def smallest_batch(self, recipe: Recipe) -> int:
        """Return how many images the smallest batch of an epoch has."""
        return min(map(len, batches_of(self.parts["train"], recipe.batch_size)))

    def record(self, run: Run) -> None:
        """Write the audit into the run, and which images it begins with."""
        write_json(run.audit_file, self.audit.to_json())
        if not self.recorded:
            write_images(run.images_file, self.dataset, self.audit)


def prepare_data(recipe: Recipe, dataset: Dataset, found: Audit, *, progress: Progress = silent) -> Prepared:
    """Measure how the images of `dataset`, whose audit is `found`, are to be fed.

    Raises:
        DataError: more pictures are unreadable than the recipe admits, or nothing is left to train or validate on.
    """
    _check_readable(recipe, dataset, found)
    for part in ("train", "val"):
        if not len(found.parts[part]):
            raise DataError(
                f"{dataset.name} leaves no picture for {part}: a training needs some to learn from and some to judge "
                "each epoch by."
            )
    choice = recipe.input
    spec = measure(
        dataset,
        found.survey,
        found.parts["train"],
        height=choice.height,
        width=choice.width,
        resize=choice.resize,
        crop=choice.crop,
        decode_scale=choice.decode_scale,
        progress=progress,
    )
    return Prepared(dataset, found, spec, LabelSpec(dataset.classes))


def prepare_again(
    plan: Plan, run: Run, origin: Origin, *, inexact: bool, progress: Progress = silent
) -> tuple[Prepared, Changes | None]:
    """Prepare the data of a run that was begun before, as they were prepared then, and say what changed since.

    Of files that were deleted, changed or added since, only the others are used, each in the split in which it was.

    Raises:
        DataError: there are no data any more, or none of the images is left.
        RunError: the data changed and `inexact` was not said, or it is not known how.
    """
    dataset = open_data(plan.data, minimum_classes=1, progress=progress)
    found = audit(dataset, progress=progress)
    labels = LabelSpec(origin.classes)
    if found.digest == origin.first_data:
        return Prepared(dataset, found, origin.input, labels, recorded=True), None
    recorded = read_images(run.images_file)
    if recorded is None:
        raise RunError(f"{_OTHER_DATA}: images, labels or splits changed. Restore them, or start a new run.")
    changes, parts = compare(recorded, dataset, found)
    if found.digest != origin.data and not inexact:
        raise RunError(
            f"{_OTHER_DATA}: {changes}. Restore them, or go on with what remains of them: striate resume "
            f"{run.argument} --inexact, or striate finish {run.argument}"
        )
    if not any(len(indices) for indices in parts.values()):
        raise DataError(f"None of the images that this run was started with is left in {plan.data}. Restore them.")
    dataset, _, _ = matched(dataset, labels)
    return Prepared(dataset, replace(found, parts=parts), origin.input, labels, recorded=True), changes


_OTHER_DATA = "The data are not those that this run was started with"


def _check_readable(recipe: Recipe, dataset: Dataset, found: Audit) -> None:
    if len(found.unread) > recipe.unreadable * len(dataset):
        first = found.unread[0]
        raise DataError(
            f"{len(found.unread)} of {len(dataset)} pictures of {dataset.name} cannot be read (the first is "
            f"{first.name}: {first.why}), which is more than the share of {recipe.unreadable:g} "
            f"that the setting 'unreadable' admits. They are all listed by: {command('data', dataset.source)}"
        )
