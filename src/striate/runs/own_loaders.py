"""The user's own loaders as the data of a run: trained and evaluated like a folder of images, without an audit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from striate.classifier import Classifier
from striate.core.batch import Batch
from striate.core.device import plain_plan
from striate.core.difference import difference
from striate.core.errors import ConfigError
from striate.core.processes import ALONE, Processes
from striate.core.progress import Progress, silent
from striate.core.protocols import Batches
from striate.core.spec import InputSpec, LabelSpec
from striate.data.dataset import Split
from striate.data.loading.own_loaders import LoaderBatches, Loaders
from striate.runs.folder import Run
from striate.runs.plan import Plan
from striate.runs.prepare import LEARNED
from striate.runs.recipe import Recipe
from striate.runs.recipes import RECIPES
from striate.runs.transfer import cross_validates
from striate.tasks import Task
from striate.training import Outputs
from striate.training.evaluation import evaluate

_OF_THE_LOADER = (
    "input",
    "resizing",
    "sampling",
    "augmentation",
    "batch_size",
    "in_memory",
    "loader_threads",
    "unreadable",
)


@dataclass(frozen=True, eq=False)
class PreparedLoaders:
    """Loaders, with the facts read from one batch of each (`runs.prepare.TrainingData`)."""

    loaders: Loaders
    task: Task
    input: InputSpec
    labels: LabelSpec
    digest: str
    warnings: tuple[str, ...] = ()
    index: None = None
    seen: None = None
    class_counts: None = None

    @classmethod
    def read(cls, loaders: Loaders, task: Task) -> PreparedLoaders:
        """Read one batch of each loader, whose labels are those of `task`.

        Raises:
            DataError: a loader yields something else than batches of images and labels.
        """
        spec, labels = loaders.specs(task.targets)
        return cls(loaders, task, spec, labels, loaders.digest(task.targets))

    @property
    def counts(self) -> dict[str, int]:
        """The number of images of each loader whose data set has a length."""
        return self.loaders.counts

    def load(
        self, recipe: Recipe, *, processes: Processes = ALONE, progress: Progress = silent
    ) -> tuple[Batches, Batches]:
        """Return the batches to train on and those to validate by; a single process trains on loaders."""
        return self._batches("train", recipe.seed), self._batches("val", recipe.seed)

    def _batches(self, split: Split, seed: int = 0) -> LoaderBatches:
        return self.loaders.batches(split, self.task.targets, seed=seed)

    def answers(self, classifier: Classifier, split: Split, *, processes: Processes = ALONE) -> Outputs | None:
        """Return the outputs for a split, of the training loader for its first batches."""
        if split not in self.loaders.splits():
            return None
        batches: Batches = self._batches(split)
        if split == "train":
            batches = _First(batches, LEARNED)
        return evaluate(classifier.model, classifier.task, batches, plain_plan(str(classifier.device)))

    def names(self, split: Split, index: np.ndarray) -> tuple[str, ...]:
        """Return names of images by their place in the loader."""
        return tuple(f"{split} {number:05d}" for number in index.tolist())

    def unread(self, split: Split, outputs: Outputs | None) -> tuple[str, ...]:
        """Return nothing: what a loader does not yield has no name."""
        return ()

    def smallest_batch(self, recipe: Recipe) -> int:
        """Return the size of the last batch if the length of the data set is known, else that of the first."""
        count, steps = self.counts.get("train"), self.steps_per_epoch(recipe)
        last = recipe.batch_size if count is None else count - (steps - 1) * recipe.batch_size
        return last if 0 < last < recipe.batch_size else recipe.batch_size

    def steps_per_epoch(self, recipe: Recipe) -> int:
        """Return the length of the training loader."""
        return len(self._batches("train"))

    def record(self, run: Run) -> None:
        """Write nothing: there is no audit."""


class _First:
    """The first batches of an epoch, until at least `count` images."""

    def __init__(self, batches: LoaderBatches, count: int) -> None:
        self._batches, self._count = batches, count

    def __len__(self) -> int:
        return len(self._batches)

    def epoch(self, epoch: int, *, start: int = 0) -> Iterator[Batch]:
        drawn = 0
        for batch in self._batches.epoch(epoch, start=start):
            yield batch
            drawn += len(batch)
            if drawn >= self._count:
                return


def fitted(plan: Plan, loaders: Loaders) -> Plan:
    """Return `plan` with the batch size of the loader.

    Raises:
        ConfigError: a setting was changed that the loader decides itself.
    """
    idle = [key for key in plan.difference if key.split(".")[0] in _OF_THE_LOADER]
    if idle:
        raise ConfigError(f"{idle[0]} has no effect, because your loaders prepare the batches. Leave it out.")
    if cross_validates(plan.recipe.transfer):
        raise ConfigError("Loaders cannot be divided into folds. Leave --folds out, or train on files.")
    batches = loaders.batches("train", plan.recipe.task.targets)
    recipe = replace(plan.recipe, batch_size=len(next(batches.epoch(0))))
    return replace(plan, recipe=recipe, difference=difference(recipe, RECIPES[plan.base]()))
