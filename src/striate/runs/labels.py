"""The labels of a run's images as a CSV file to correct, those that are probably wrong first.

The file is a data set itself: after the corrections, `striate train RUN/labels.csv` trains with them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int

from striate.core.comma_separated import csv_row
from striate.core.files import write_atomically
from striate.data.audit.index import ImageIndex
from striate.data.dataset import Dataset, FileStore
from striate.metrics.softmax import log_softmax
from striate.metrics.suspects import label_suspects, self_confidence
from striate.runs.cross_validation import OutOfFold
from striate.runs.folder import Run

_COLUMNS = ("path", "label", "split", "group", "suspect", "predicted", "probability", "of_label")


def write_labels(
    run: Run, dataset: Dataset, index: ImageIndex, indices: Int[np.ndarray, " n"], outcome: OutOfFold
) -> None:
    """Write `labels.csv` into `run`: a line per readable image. For data without a file per image, nothing is written.

    `indices` are the images of `outcome`. Its suspects come first, numbered from 1. `predicted` and `probability` are
    the out-of-fold answer, `of_label` is its probability of the label. `split` is that of the data, if they have
    splits.

    Raises:
        RunError: the file cannot be written, or the disk is full.
    """
    store = dataset.store
    if not isinstance(store, FileStore):
        return
    splits = {int(number): split for split, members in dataset.splits.items() for number in members}
    suspects = {int(row): place for place, row in enumerate(label_suspects(outcome.logits, outcome.targets), start=1)}
    best = np.exp(log_softmax(outcome.logits)).max(axis=1)
    own = self_confidence(outcome.logits, outcome.targets)
    rows: list[Sequence[object]] = [_COLUMNS]

    def start(number: int) -> list[str]:
        label = dataset.classes[dataset.targets[number]]
        group = "" if dataset.groups is None else str(dataset.groups[number])
        return [str(store.path(number).absolute()), label, splits.get(number, ""), group]

    for row in (*suspects, *(row for row in range(len(indices)) if row not in suspects)):
        predicted = dataset.classes[outcome.logits[row].argmax()]
        answer = [suspects.get(row, ""), predicted, f"{best[row]:.6f}", f"{own[row]:.6f}"]
        rows.append([*start(int(indices[row])), *answer])
    for number in np.setdiff1d(np.flatnonzero(index.readable), indices).tolist():
        rows.append([*start(number), "", "", "", ""])
    write_atomically(run.labels_file, "".join(map(csv_row, rows)).encode(errors="surrogateescape"))
