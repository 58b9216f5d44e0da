"""Judge a classifier on pictures it has not seen, and keep the rows, so that every number leads back to its files."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from striate.classifier import Classifier
from striate.core.device import plain_plan
from striate.core.errors import DataError, RunError
from striate.core.files import make_folder, sweep, write_atomically, write_json
from striate.core.spec import LabelSpec
from striate.data.dataset import Dataset
from striate.data.loader import Loader
from striate.metrics import Judgement, Rows, judge
from striate.recipes.folder import Run
from striate.training.evaluate import Outputs, evaluate

BATCH_SIZE = 256

_COLUMNS = ("index", "picture", "class", "answer", "confidence")

ReportProgress = Callable[[int, int], None]


@dataclass(frozen=True)
class Evaluation:
    """One split, judged: the rows of its answers and all that is said about them. `data` is what the user named,
    `names` the name of the picture of each row."""

    name: str
    data: str
    rows: Rows
    names: tuple[str, ...]
    judgement: Judgement

    def write(self, run: Run) -> None:
        """Keep it in the run: the judgement as JSON, and a line of CSV per picture, so that each number leads back to
        its files."""
        make_folder(run.evaluations)
        sweep(run.evaluations)
        table = io.StringIO(newline="")
        writer = csv.writer(table, lineterminator="\n")
        writer.writerow(_COLUMNS)
        classes = self.judgement.classes
        for index, name, given, predicted, confidence in zip(
            self.rows.index.tolist(),
            self.names,
            self.rows.targets.tolist(),
            self.rows.predicted.tolist(),
            self.rows.confidence.tolist(),
            strict=True,
        ):
            writer.writerow([index, name, classes[given], classes[predicted], repr(confidence)])
        # A file name need not be proper text; what cannot be encoded goes as the bytes it was.
        write_atomically(run.evaluations / f"{self.name}.csv", table.getvalue().encode(errors="surrogateescape"))
        content = {"data": self.data, "judgement": self.judgement.to_json()}
        write_json(run.evaluations / f"{self.name}.json", content)

    @classmethod
    def read(cls, run: Run, name: str) -> Evaluation | None:
        """Read one that was kept; None if there is none.

        Raises:
            RunError: it is damaged.
        """
        path = run.evaluations / f"{name}.json"
        if not path.exists():
            return None
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            judgement = Judgement.from_json(content["judgement"])
            text = path.with_suffix(".csv").read_bytes().decode(errors="surrogateescape")
            rows = list(csv.DictReader(io.StringIO(text, newline="")))
            numbers = {label: number for number, label in enumerate(judgement.classes)}
            columns = Rows(
                index=np.array([int(row["index"]) for row in rows], np.int64),
                targets=np.array([numbers[row["class"]] for row in rows], np.int64),
                predicted=np.array([numbers[row["answer"]] for row in rows], np.int64),
                confidence=np.array([float(row["confidence"]) for row in rows]),
            )
            return cls(name, content["data"], columns, tuple(row["picture"] for row in rows), judgement)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise RunError(f"The evaluation {path} is damaged ({error}). Evaluate the run again.") from error


def answers(
    classifier: Classifier, dataset: Dataset, indices: np.ndarray, *, progress: ReportProgress | None = None
) -> Outputs:
    """The logits of `classifier` for the pictures `indices`, prepared and computed as in prediction."""
    loader = Loader(
        dataset, indices, classifier.input, batch_size=BATCH_SIZE, shuffle=False, memory="never", progress=progress
    )
    return evaluate(classifier.model, loader, plain_plan("cpu"))


def evaluation(name: str, data: str, dataset: Dataset, classifier: Classifier, outputs: Outputs) -> Evaluation:
    """Judge `outputs`, the answers to pictures of `dataset`, with the classifier's temperature."""
    rows = Rows.of(outputs.logits, outputs.targets, outputs.index, classifier.temperature)
    judgement = judge(outputs.logits, outputs.targets, classifier.labels.classes, temperature=classifier.temperature)
    names = tuple(dataset.store.name(index) for index in outputs.index.tolist())
    return Evaluation(name, data, rows, names, judgement)


def matched(dataset: Dataset, labels: LabelSpec) -> tuple[Dataset, np.ndarray, tuple[str, ...]]:
    """Match `dataset` to a classifier's `labels` by class name.

    Returns the data with their targets as the classifier numbers its classes, the indices of the pictures whose class
    it knows, and the names of the classes that it does not (their pictures must be left out: they have no number).

    Raises:
        DataError: no class is known to the classifier.
    """
    numbers = {name: number for number, name in enumerate(labels.classes)}
    table = np.array([numbers.get(name, -1) for name in dataset.classes], np.int64)
    targets = table[dataset.targets]
    unknown = tuple(name for name in dataset.classes if name not in numbers)
    known = np.flatnonzero(targets >= 0)
    if not len(known):
        raise DataError(
            f"{dataset.name} has no class that the classifier knows: it has {_listed(dataset.classes)}, and the "
            f"classifier tells {_listed(labels.classes)} apart. Rename the folders or the labels."
        )
    return replace(dataset, classes=labels.classes, targets=np.maximum(targets, 0)), known, unknown


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(names[:5]) + (" …" if len(names) > 5 else "")
