"""Prepare data for training: open, audit, split, measure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Int64

from striate.classifier import Classifier, SeenImages
from striate.core.errors import DataError, RunError, command
from striate.core.files import write_json
from striate.core.processes import ALONE, Processes
from striate.core.progress import Progress, renamed, silent
from striate.core.protocols import Batches
from striate.core.spec import GREY, InputSpec, LabelSpec
from striate.data.audit import Audit, audit
from striate.data.audit.index import ImageIndex
from striate.data.augmentation.augment import augmentations_in_effect
from striate.data.dataset import Dataset, Indices, Split, Splits
from striate.data.images.kinds import common_channels
from striate.data.loading.batching import batches_of
from striate.data.loading.cache import load_cached
from striate.data.loading.loader import Loader, Randomization
from striate.data.loading.sized import SizedLoader
from striate.data.preparation.measure import measure
from striate.data.sources.opening import open_data
from striate.data.split import group_count
from striate.models.weights.adapt import for_size
from striate.runs.evaluate import BATCH_SIZE, GoneError, answers, matched, unread, with_targets
from striate.runs.folder import Run
from striate.runs.images import Changes, compare, read_images, write_images
from striate.runs.origin import Origin
from striate.runs.plan import Plan
from striate.runs.recipe import Recipe
from striate.runs.resizing import epochs_of, resized
from striate.runs.seen import seen_images, write_appearances
from striate.runs.transfer import Auto, Features, cross_validates, weights_of
from striate.training import Outputs
from striate.training.evaluation import join_outputs

_SPLIT_NAMES: dict[Split, str] = {"train": "training", "val": "validation", "test": "test"}
_VALIDATION_BATCH = 256
LEARNED = 2000  # images of the training split that are evaluated, at most about


@runtime_checkable
class TrainingData(Protocol):
    """The data of a run: the input of the model, its labels, batches, and outputs to evaluate.

    `counts` is the number of images in each split that has any, `digest` changes with the data, `warnings` are
    sentences for the user. `index` is that of all images, where there is one, and `seen` identifies those that a
    classifier trained on them has seen. `class_counts` is the number of training images of each class, where known.
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
    def index(self) -> ImageIndex | None: ...
    @property
    def seen(self) -> SeenImages | None: ...
    @property
    def class_counts(self) -> Int64[np.ndarray, " k"] | None: ...

    def load(
        self, recipe: Recipe, *, processes: Processes = ALONE, progress: Progress = silent
    ) -> tuple[Batches, Batches | None]:
        """Return the batches to train on and those to validate each epoch by, if there are any."""
        ...

    def answers(self, classifier: Classifier, split: Split, *, processes: Processes = ALONE) -> Outputs | None:
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

    def steps_per_epoch(self, recipe: Recipe) -> int:
        """Return the number of batches of an epoch of the training."""
        ...

    def record(self, run: Run) -> None:
        """Write what is known of the data into the run."""
        ...


@dataclass(frozen=True, eq=False)
class Prepared:
    """Data that are ready to train on.

    `recorded`: the splits are those that the run recorded when it began. `steps`: batches per epoch, if the batch size
    does not determine them. `held`: images that contain the training split and are held in memory together.
    """

    dataset: Dataset
    audit: Audit
    input: InputSpec
    labels: LabelSpec
    recorded: bool = False
    steps: int | None = None
    held: Indices | None = None

    @property
    def splits(self) -> Splits:
        """The indices of each split; unreadable images are in none."""
        return self.audit.splits

    @property
    def counts(self) -> dict[str, int]:
        """The number of images in each split that has any."""
        return {split: len(indices) for split, indices in self.splits.items() if len(indices)}

    @property
    def digest(self) -> str:
        """The digest of images, labels and splits."""
        return self.audit.digest

    @property
    def warnings(self) -> tuple[str, ...]:
        """The warnings of the audit, as sentences."""
        return self.audit.warnings

    @property
    def index(self) -> ImageIndex:
        """The index of the data set."""
        return self.audit.index

    @property
    def seen(self) -> SeenImages:
        """The images of the training and validation splits."""
        return seen_images(self.index, self.splits)

    @property
    def class_counts(self) -> Int64[np.ndarray, " k"]:
        """The number of training images of each class."""
        return self.dataset.class_counts(self.splits["train"])

    def load(
        self, recipe: Recipe, *, processes: Processes = ALONE, progress: Progress = silent
    ) -> tuple[Loader | SizedLoader, Loader | None]:
        """Make the loaders; images that fit in memory are decoded now. Where folds are trained, nothing validates.

        Raises:
            DataError: too few images are left.
        """
        count, validation = (len(self.splits[split]) for split in ("train", "val"))
        validating = not cross_validates(recipe.transfer)
        if not count or (validating and not validation) or count < 2 * (self.steps or 0):
            raise DataError(
                f"Too few of the images that this run was started with remain ({count:,} to train on, {validation:,} "
                "to validate). Restore them, or end the run where it is: striate finish."
            )
        augmentations = augmentations_in_effect(recipe.augmentation, self.input, self.labels.classes)

        dataset = with_targets(self.dataset, recipe.task, self.labels)
        randomization = Randomization(seed=recipe.seed, augmentations=augmentations, sampling=recipe.sampling)

        def loader(split: Split, spec: InputSpec, batch_size: int, report: Progress, **training: Any) -> Loader:
            images, threads = (dataset, self.splits[split], spec), recipe.loader_threads
            named = renamed(report, f"loading the {_SPLIT_NAMES[split]} split")
            cached = None
            if recipe.in_memory:
                held = self.splits[split] if self.held is None else self.held
                cached = load_cached(dataset, held, spec, digests=self.index.digests, threads=threads, progress=named)
            division: dict[str, Any] = {"threads": threads, "processes": processes}
            return Loader(*images, batch_size=batch_size, cached=cached, **division, **training)

        def train(spec: InputSpec, report: Progress) -> Loader:
            return loader("train", spec, recipe.batch_size, report, steps=self.steps, randomization=randomization)

        training: Loader | SizedLoader = (
            train(self.input, progress) if recipe.resizing is None else self._growing(recipe, train, progress)
        )
        return training, loader("val", self.input, _VALIDATION_BATCH, progress) if validating else None

    def _growing(
        self, recipe: Recipe, make: Callable[[InputSpec, Progress], Loader], progress: Progress
    ) -> SizedLoader:
        """Return a loader whose images have the size that the recipe's resizing gives each epoch."""
        resizing, full = recipe.resizing, min(self.input.size)
        assert resizing is not None
        steps = self.steps_per_epoch(recipe)
        epochs = epochs_of(recipe.epochs, steps)

        def spec(epoch: int) -> InputSpec:
            return resized(self.input, resizing.side(epoch / epochs, full))

        return SizedLoader(steps, spec, make, progress)

    def answers(self, classifier: Classifier, split: Split, *, processes: Processes = ALONE) -> Outputs | None:
        """Return the outputs for a split without images that can no longer be read; None if none is left.

        Each of several processes computes a block of the batches of a single one.
        """
        batches = batches_of(self._judged(split), BATCH_SIZE)
        own = batches[processes.block(len(batches))]
        found = self._readable_answers(classifier, np.concatenate(own)) if own else None
        parts = [part for part in processes.gather(found) if part is not None]
        return join_outputs(parts) if parts else None

    def _readable_answers(self, classifier: Classifier, indices: Indices) -> Outputs | None:
        try:
            return answers(classifier, self.dataset, indices)
        except GoneError:
            return None

    def _judged(self, split: Split) -> np.ndarray:
        """Return the images of a split to evaluate; of the training split, `LEARNED` evenly spaced ones.

        That many are enough to see how much better the classifier does on images that it was trained on.
        """
        indices = self.splits[split]
        return every_nth(indices, LEARNED) if split == "train" else indices

    def names(self, split: Split, index: np.ndarray) -> tuple[str, ...]:
        """Return the names of images of the data set."""
        return tuple(self.dataset.store.name(number) for number in index.tolist())

    def unread(self, split: Split, outputs: Outputs | None) -> tuple[str, ...]:
        """Return the names of images that the audit could read and `answers` could not."""
        return unread(self.dataset, self._judged(split), outputs)

    def smallest_batch(self, recipe: Recipe) -> int:
        """Return how many images the smallest batch of an epoch has."""
        return min(map(len, batches_of(self.splits["train"], recipe.batch_size)))

    def steps_per_epoch(self, recipe: Recipe) -> int:
        """Return the number of batches of an epoch of the training."""
        return self.steps or len(batches_of(self.splits["train"], recipe.batch_size))

    def record(self, run: Run) -> None:
        """Write the audit and the record of the images into the run."""
        write_json(run.audit_file, self.audit.to_json())
        if not self.recorded:
            write_images(run.images_file, self.dataset, self.index, self.splits)
            write_appearances(run.thumbnails_file, self.seen.appearances)


def every_nth(indices: np.ndarray, most: int) -> np.ndarray:
    """Return every n-th of `indices`, with the smallest n that leaves at most `most`."""
    return indices[:: max(1, -(-len(indices) // most))]


def prepare_data(
    recipe: Recipe, found: Audit, splits: Splits | None = None, *, progress: Progress = silent
) -> Prepared:
    """Divide the audited data (see `divide`), and measure how the images are prepared.

    Raises:
        DataError: more images are unreadable than the recipe admits, or none is left to train or validate on.
    """
    found = found.divided(splits)
    dataset = found.dataset
    _check_readable(recipe, found)
    for name in ("train",) if _can_be_folded(recipe, found) else ("train", "val"):
        if not len(found.splits[name]):
            raise empty_split(dataset, name)
    with_targets(dataset, recipe.task, labels := LabelSpec(dataset.classes))  # refuses those of another task
    channels = common_channels(found.index.channels[found.splits["train"]])
    spec = _input_of_weights(recipe, channels)
    if spec is None:
        spec = measure(dataset, found.index, found.splits["train"], recipe.input, progress=progress)
    return Prepared(dataset, found, spec, labels)


def empty_split(dataset: Dataset, name: Split) -> DataError:
    """Return the error for a split without an image."""
    counts = dataset.class_counts(np.arange(len(dataset)))
    single = [label for label, count in zip(dataset.classes, counts, strict=True) if count == 1]
    why = f" There is only one image of {', '.join(single)}." if single and len(single) < len(counts) else ""
    return DataError(
        f"{dataset.name} has no image for the {_SPLIT_NAMES[name]} split; training needs at least one to learn from "
        f"and one to validate each epoch by.{why} Add images, or groups of images where they are grouped."
    )


def _can_be_folded(recipe: Recipe, found: Audit) -> bool:
    """Return whether a cross-validation can take the place of the validation split."""
    transfer = recipe.transfer
    if not cross_validates(transfer) and not (isinstance(transfer, (Features, Auto)) and transfer.folds != 1):
        return False
    smallest = found.dataset.class_counts(np.arange(len(found.dataset))).min()
    return bool(min(smallest, group_count(found.dataset, found.index)) > 1)


def prepare_again(
    plan: Plan, run: Run, origin: Origin, *, inexact: bool, progress: Progress = silent
) -> tuple[Prepared, Changes | None]:
    """Prepare the data of an earlier run as they were prepared then, and return what changed since.

    Files that were deleted, changed or added since are not used; the others stay in their splits.

    Raises:
        DataError: there are no data any more, or none of the images is left.
        RunError: the data changed and `inexact` is false, or their changes are not known.
    """
    dataset = open_data(plan.data, minimum_classes=1, progress=progress)
    found = audit(dataset, progress=progress).divided()
    labels = LabelSpec(origin.classes)
    if found.digest == origin.first_data:
        return Prepared(dataset, found, origin.input, labels, recorded=True), None
    recorded = read_images(run.images_file)
    if recorded is None:
        raise RunError(f"{_OTHER_DATA}: images, labels or splits changed. Restore them, or start a new run.")
    changes, splits = compare(recorded, dataset, found.index)
    given = found.divided(splits)
    if given.digest == origin.first_data:  # it was started with splits of its own
        return Prepared(dataset, given, origin.input, labels, recorded=True), None
    if found.digest != origin.data and not inexact:
        raise RunError(
            f"{_OTHER_DATA}: {changes}. Restore the data, or continue with the images that have not changed: striate "
            f"resume {run.argument} --inexact, or striate finish {run.argument}. To start a new run on the current "
            f"data from the weights of this one: {command('train', plan.data, '--weights', run.path)}"
        )
    if not any(len(indices) for indices in splits.values()):
        raise DataError(f"None of the images that this run was started with is left in {plan.data}. Restore them.")
    dataset, _, _ = matched(dataset, labels)
    return Prepared(dataset, replace(found, splits=splits), origin.input, labels, recorded=True), changes


def _input_of_weights(recipe: Recipe, channels: tuple[str, ...]) -> InputSpec | None:
    """Return the preparation of the recipe's pretrained weights for images that have `channels`.

    None where nothing is known of it, or where the images have other channels than the weights.
    """
    spec = None if recipe.weights is None else weights_of(recipe.weights, recipe.model).input
    if spec is None or not set(channels) <= {*GREY, *spec.channels}:
        return None
    wanted = recipe.input
    height, width = wanted.height or wanted.width or spec.height, wanted.width or wanted.height or spec.width
    own = {name: getattr(wanted, name) for name in ("resize", "crop", "decode_scale")}
    if wanted.crop != spec.crop:  # the sides of the resized image follow from it
        spec = replace(spec, resized=None, side_rounding="nearest")
    return replace(spec if (height, width) == spec.size else for_size(spec, (height, width)), **own)


_OTHER_DATA = "The data are not those that this run was started with"


def _check_readable(recipe: Recipe, found: Audit) -> None:
    dataset = found.dataset
    if len(found.unread) > recipe.unreadable * len(dataset):
        first = found.unread[0]
        raise DataError(
            f"{len(found.unread)} of {len(dataset)} images of {dataset.name} cannot be read (the first is "
            f"{first.name}: {first.why}), more than the fraction {recipe.unreadable:g} that the setting 'unreadable' "
            f"allows. List them with: {command('audit', dataset.source)}"
        )
