"""Evaluate a classifier on images, and keep a row for each, so that every score can be traced to files."""

from __future__ import annotations

import contextlib
import csv
import io
import itertools
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch

from striate.classifier import Classifier, Predictor
from striate.core.comma_separated import csv_row
from striate.core.config import from_json, to_json
from striate.core.device import plain_plan
from striate.core.errors import ConfigError, DataError, RunError
from striate.core.files import make_folder, read_regular, sweep, write_atomically, write_json
from striate.core.progress import Progress, silent
from striate.core.spec import LabelSpec
from striate.data.dataset import Dataset
from striate.data.images.decode import Unreadable
from striate.data.loading.loader import Loader
from striate.data.views import View, by_preparation
from striate.metrics import EVALUATORS, Table
from striate.runs.folder import Run, read_scores
from striate.runs.seen import Seen
from striate.tasks import CLASSIFICATION, Task
from striate.training.evaluation import Outputs, evaluate

BATCH_SIZE = 256

_INDEX, _NAME = "index", "picture"


@dataclass(frozen=True)
class Evaluation:
    """The evaluation of one split under `task`: the answer for each image, and the scores of all.

    `data` is what the user named, `names` the name of the image of each row. `seen` is None where the classifier does
    not record which images it has seen. `epochs`: how long the weights had been trained, None where it is not
    recorded. `unread`: the names of images that could no longer be read. `views`: those whose answers were averaged.
    """

    name: str
    data: str
    rows: Table
    names: tuple[str, ...]
    scores: Any
    seen: Seen | None = None
    epochs: float | None = None
    unread: tuple[str, ...] = ()
    task: str = CLASSIFICATION.name
    views: tuple[View, ...] = ()

    def write(self, run: Run) -> None:
        """Write it into the run: the scores as JSON, and a line of CSV per image."""
        make_folder(run.evaluations)
        sweep(run.evaluations)
        columns = self.rows.columns(self.scores.classes)
        rows = zip(self.rows.index.tolist(), self.names, *columns.values(), strict=True)
        table = "".join(map(csv_row, itertools.chain([(_INDEX, _NAME, *columns)], rows)))
        # A file name need not be valid text; bytes that are not are written unchanged.
        write_atomically(run.evaluations / f"{self.name}.csv", table.encode(errors="surrogateescape"))
        seen = None if self.seen is None else asdict(self.seen)
        content = {
            "task": self.task,
            "data": self.data,
            "seen": seen,
            "epochs": self.epochs,
            "unread": list(self.unread),
            **({"views": to_json(self.views)} if self.views else {}),
            "scores": self.scores.to_json(),
        }
        write_json(run.evaluations / f"{self.name}.json", content)

    @classmethod
    def read(cls, run: Run, name: str) -> Evaluation | None:
        """Read one that was written; None if there is none.

        Raises:
            RunError: it is damaged.
        """
        path = run.evaluations / f"{name}.json"
        if not path.exists():
            return None
        scores, content = read_scores(path)
        try:
            text = read_regular(path.with_suffix(".csv")).decode(errors="surrogateescape")
            head, *lines = csv.reader(io.StringIO(text, newline=""))
            columns = dict(zip(head, zip(*lines, strict=True) if lines else [()] * len(head), strict=True))
            task = content.get("task", CLASSIFICATION.name)
            index = np.array([int(number) for number in columns[_INDEX]], np.int64)
            return cls(
                name,
                content["data"],
                EVALUATORS[task].read_rows(index, columns, scores.classes),
                columns[_NAME],
                scores,
                Seen(**content["seen"]) if content.get("seen") else None,
                content.get("epochs"),
                tuple(map(str, content.get("unread", ()))),
                task,
                tuple(from_json(View, view) for view in content.get("views", ())),
            )
        except (ConfigError, OSError, ValueError, KeyError, TypeError) as error:
            raise RunError(f"The evaluation {path} is damaged ({error}). Evaluate the run again.") from error


def stored_name(run: Run, stem: str, data: str, views: Sequence[View] = ()) -> str:
    """Return the name for an evaluation of `data` by the average of `views`.

    It is `stem` and the names of the views; or that and -2 … where evaluations of other data or views have it.
    """
    stem = "-".join([stem, *(view.name for view in views)])

    def fits(name: str) -> bool:
        found = Evaluation.read(run, name)
        return found is None or (found.data, found.views) == (data, tuple(views))

    return next(filter(fits, (stem if number == 1 else f"{stem}-{number}" for number in itertools.count(1))))


class GoneError(DataError):
    """None of the images can be read any more."""


def answers(
    classifier: Predictor,
    dataset: Dataset,
    indices: np.ndarray,
    *,
    views: Sequence[View] = (),
    progress: Progress = silent,
) -> Outputs:
    """Compute the outputs of `classifier` for the images `indices`, prepared as in prediction, on its device.

    Those of an ensemble, or with `views`, are outputs that give the average probabilities at temperature 1. Images that
    can no longer be read are left out: `Outputs.index` says which were evaluated.

    Raises:
        GoneError: none of the images can be read.
        ConfigError: there are no such views of its images, or the task does not say how answers are averaged.
    """

    learned = with_targets(dataset, classifier.task, classifier.labels)

    def judged(indices: np.ndarray) -> Outputs:
        if views or not isinstance(classifier, Classifier):
            return _averaged(classifier, views, learned, indices, progress)
        loader = Loader(learned, indices, classifier.input, batch_size=BATCH_SIZE)
        return evaluate(
            classifier.model, classifier.task, loader, plain_plan(str(classifier.device)), progress=progress
        )

    try:
        return judged(indices)
    except Unreadable as error:
        remaining = indices[[_can_be_read(dataset, index) for index in indices.tolist()]]
        if len(remaining) == len(indices):
            raise  # it can be read again: another program is writing the files
        if not len(remaining):
            raise GoneError(f"None of the {len(indices):,} images can be read any more: {error}") from error
        return judged(remaining)


def _averaged(
    classifier: Predictor, views: Sequence[View], dataset: Dataset, indices: np.ndarray, progress: Progress
) -> Outputs:
    """Compute outputs that give the probabilities averaged over members and views."""
    passes = [
        (member, spec, looks)
        for member in classifier.members
        for spec, looks in by_preparation(member.looks(views)).items()
    ]
    total = torch.zeros(len(indices), len(classifier.labels), dtype=torch.float64)
    for number, (member, spec, looks) in enumerate(passes):
        loader, rows = Loader(dataset, indices, spec, batch_size=BATCH_SIZE), []
        with contextlib.closing(loader.epoch(0)) as batches:
            for batch in batches:
                rows.append(member.averaged(batch.images, looks))
                progress("evaluating", number * len(loader) + len(rows), len(passes) * len(loader))
        order = [member.labels.classes.index(name) for name in classifier.labels.classes]
        total += torch.cat(rows)[:, order] / len(classifier.members)
    return Outputs(
        classifier.task, classifier.task.outputs_of(total).numpy(), np.asarray(dataset.targets[indices]), indices
    )


def _can_be_read(dataset: Dataset, index: int) -> bool:
    try:
        dataset.store.read(index)
    except Unreadable:
        return False
    return True


def unread(dataset: Dataset, indices: np.ndarray, outputs: Outputs | None) -> tuple[str, ...]:
    """Return the names of those of `indices` that `outputs` leaves out; all where there are no outputs."""
    left_out = indices if outputs is None else np.setdiff1d(indices, outputs.index)
    return tuple(dataset.store.name(index) for index in left_out.tolist())


def evaluation(
    name: str,
    data: str,
    names: tuple[str, ...],
    classifier: Predictor,
    outputs: Outputs,
    seen: Seen | None,
    unread: tuple[str, ...] = (),
    views: tuple[View, ...] = (),
) -> Evaluation:
    """Evaluate `outputs`, those for the images called `names`, with the classifier's temperature if it has one.

    `unread` names images without outputs. The outputs of an ensemble, or with `views`, hold the temperatures already.
    """
    task = classifier.task.name
    alone = classifier if isinstance(classifier, Classifier) else None
    known = 1.0 if alone is None or views else alone.temperature
    temperature = None if known == 1 else known
    judged_by = classifier.task.judged_by
    rows = EVALUATORS[task].rows(outputs.values, outputs.targets, outputs.index, known, **judged_by)
    scores = EVALUATORS[task].evaluate(
        outputs.values, outputs.targets, classifier.labels.classes, temperature=temperature, **judged_by
    )
    epochs = None if alone is None else alone.provenance.epochs
    return Evaluation(name, data, rows, names, scores, seen, epochs, unread, task, views)


def with_targets(dataset: Dataset, task: Task, labels: LabelSpec) -> Dataset:
    """Return `dataset` with its targets in the form that the loss of `task` takes.

    Raises:
        DataError: they are not targets of this task.
    """
    try:
        stored = torch.from_numpy(np.require(dataset.targets, requirements="W"))
        targets = task.targets(stored, len(dataset), labels)
    except DataError as error:
        raise DataError(
            f"{dataset.name} holds {error} The task {task.name!r} cannot be learned from these data: choose another "
            "task or other data."
        ) from error
    return replace(dataset, targets=targets.numpy())


def matched(dataset: Dataset, labels: LabelSpec) -> tuple[Dataset, np.ndarray, tuple[str, ...]]:
    """Match `dataset` to a classifier's `labels` by class name.

    Returns the data with their targets in the order of the classifier's classes, the indices of the images whose class
    it knows, and the names of the classes that it does not (their images must be left out: they have no number).

    Raises:
        DataError: no class is known to the classifier; or, where an image may have several, one is missing in the data.
    """
    if dataset.targets.ndim > 1:
        return _matched_columns(dataset, labels)
    numbers = {name: number for number, name in enumerate(labels.classes)}
    table = np.array([numbers.get(name, -1) for name in dataset.classes], np.int64)
    targets = table[dataset.targets]
    unknown = tuple(name for name in dataset.classes if name not in numbers)
    known = np.flatnonzero(targets >= 0)
    if not len(known):
        raise DataError(
            f"{dataset.name} has no class of the classifier: it has {_listed(dataset.classes)}, and the "
            f"classifier has {_listed(labels.classes)}. Rename the folders or the labels."
        )
    return replace(dataset, classes=labels.classes, targets=np.maximum(targets, 0)), known, unknown


def _matched_columns(dataset: Dataset, labels: LabelSpec) -> tuple[Dataset, np.ndarray, tuple[str, ...]]:
    """Match targets of which the second axis is that of the classes."""
    missing = tuple(name for name in labels.classes if name not in dataset.classes)
    if missing:
        raise DataError(
            f"{dataset.name} does not say which images have {_listed(missing)}, which the classifier predicts. Add "
            "these classes to the data."
        )
    columns = [dataset.classes.index(name) for name in labels.classes]
    unknown = tuple(name for name in dataset.classes if name not in labels.classes)
    targets = dataset.targets[:, columns] if dataset.targets.shape[1:] == (len(dataset.classes),) else dataset.targets
    return replace(dataset, classes=labels.classes, targets=targets), np.arange(len(dataset)), unknown


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(names[:5]) + (" …" if len(names) > 5 else "")
