"""Judge a classifier on pictures it has not seen, and keep the rows, so that every number leads back to its files."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from striate.classifier import Classifier
from striate.core.device import plain_plan
from striate.core.errors import DataError, RunError
from striate.core.files import write_atomically, write_json
from striate.core.spec import LabelSpec
from striate.data.dataset import Dataset
from striate.data.loader import Loader
from striate.metrics import Judgement, Rows, judge
from striate.recipes.folder import Run
from striate.training.evaluate import Outputs, evaluate

BATCH_SIZE = 256

ReportProgress = Callable[[int, int], None]


@dataclass(frozen=True)
class Evaluation:
    """One split, judged: the rows of its answers and all that is said about them. `data` is what the user named."""

    name: str
    data: str
    rows: Rows
    judgement: Judgement

    def write(self, run: Run) -> None:
        """Keep it in the run: the rows as arrays, the judgement as JSON."""
        run.evaluations.mkdir(exist_ok=True)
        buffer = io.BytesIO()
        columns = {name: getattr(self.rows, name) for name in ("index", "targets", "predicted", "confidence")}
        np.savez_compressed(buffer, allow_pickle=False, **columns)
        write_atomically(run.evaluations / f"{self.name}.npz", buffer.getvalue())
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
            with np.load(path.with_suffix(".npz"), allow_pickle=False) as columns:
                rows = Rows(**{column: columns[column] for column in columns.files})
            return cls(name, content["data"], rows, Judgement.from_json(content["judgement"]))
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


def evaluation(name: str, data: str, classifier: Classifier, outputs: Outputs) -> Evaluation:
    """Judge `outputs` with the classifier's temperature."""
    rows = Rows.of(outputs.logits, outputs.targets, outputs.index, classifier.temperature)
    judgement = judge(outputs.logits, outputs.targets, classifier.labels.classes, temperature=classifier.temperature)
    return Evaluation(name, data, rows, judgement)


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
