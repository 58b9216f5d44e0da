"""Cross-validation of a training: it is repeated without each fold, and the network answers for the fold's images."""

from __future__ import annotations

import contextlib
import io
import shutil
import zipfile
from collections.abc import Generator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from striate.classifier import load_classifier, save_classifier
from striate.core.config import digest
from striate.core.device import on_this_machine
from striate.core.errors import DataError, RunError
from striate.core.files import make_folder, read_regular, write_atomically
from striate.core.progress import Progress, silent
from striate.data.dataset import Splits
from striate.data.split import folds_of
from striate.metrics.suspects import self_confidence
from striate.runs.cross_validation import FOLDS, OutOfFold, calibrated
from striate.runs.folder import Run
from striate.runs.held_out import held_out_reference
from striate.runs.origin import Origin
from striate.runs.prepare import Prepared
from striate.runs.probe import fold_count
from striate.runs.publish import classifier_of
from striate.runs.train import Session, Start, train_run
from striate.runs.transfer import Trained, cross_validates
from striate.training import SafePoint, newest_checkpoint


@dataclass(frozen=True, eq=False)
class FoldAnswers:
    """The answers of the networks of all folds, and the similarity of each image to the nearest training image.

    `index` are the images, in ascending order. Each network compares its own features.
    """

    index: Int[np.ndarray, " n"]
    outcome: OutOfFold
    similarities: Float[np.ndarray, " n"]


@dataclass(frozen=True)
class _FoldRun(Run):
    """The folder of a fold's training, within that of the run: `folds/1` …"""

    @property
    def argument(self) -> str:
        return Run(self.path.parent.parent).argument


def train_folds(
    run: Run, session: Session, *, inexact: bool, progress: Progress = silent
) -> Generator[SafePoint, None, None]:
    """Train without each fold that has no answers yet, under the execution plan of the run, and write its answers.

    A training that was stopped is resumed. Each `SafePoint` has the clock of the run, whose own training has ended.

    Raises:
        DataError: an image cannot be read any more.
        TrainingError: the loss is not finite.
        RunError: resuming would not be exact, and `inexact` is false.
    """
    last = newest_checkpoint(run.checkpoints)[0] if cross_validates(session.plan.recipe.transfer) else None
    parts = _sessions(session)
    for fold, part in enumerate(parts):
        if last is None or _read(run, session, fold, len(parts)) is not None:
            continue
        folder = _FoldRun(run.path / FOLDS / str(fold + 1))
        start = replace(_start(folder, part), execution=last.plan, inexact=inexact)
        end = session.plan.recipe.epochs
        events = train_run(folder, part, part.prepared.load(part.plan.recipe), start, None)
        with contextlib.closing(events):
            for event in events:
                if isinstance(event, SafePoint):
                    total = max(event.clock.step, round(event.clock.step / max(end.progress(event.clock), 1e-9)))
                    progress(f"training without fold {fold + 1} of {len(parts)}", event.clock.step, total)
                    yield SafePoint(last.clock)
        _write(run, session, folder, part, fold, len(parts))
        shutil.rmtree(folder.path, ignore_errors=True)


def read_folds(run: Run, session: Session) -> FoldAnswers | None:
    """Return the answers of all folds; None where there are no folds, and where one is missing."""
    if not cross_validates(session.plan.recipe.transfer):
        return None
    count = len(_sessions(session))
    found = [_read(run, session, fold, count) for fold in range(count)]
    rows = [each for each in found if each is not None]
    if not rows or len(rows) < count:
        return None
    together = {name: np.concatenate([each[name] for each in rows]) for name in rows[0]}
    folds = np.repeat(np.arange(count), [len(each["index"]) for each in rows])
    order = np.argsort(together["index"])
    outcome = OutOfFold(together["logits"][order], together["targets"][order], folds[order])
    return FoldAnswers(together["index"][order], outcome, together["similarities"][order])


def _sessions(session: Session) -> list[Session]:
    """Return a session for each fold, which validates by the fold and trains on the others; none without folds."""
    prepared, recipe = session.prepared, session.plan.recipe
    if not isinstance(prepared, Prepared) or fold_count(recipe, prepared) < 2:
        return []
    count, everything = fold_count(recipe, prepared), prepared.splits["train"]
    fold_of = folds_of(prepared.dataset, prepared.index, count)[everything]
    found = []
    for fold in range(count):
        others, own = everything[fold_of != fold], everything[fold_of == fold]
        splits: Splits = {"train": others, "val": own, "test": prepared.splits["test"]}
        audited = replace(prepared.audit, splits=splits)
        found.append(Session(session.plan, replace(prepared, audit=audited, steps=None, held=everything)))
    return found


def _start(folder: Run, part: Session) -> Start:
    """Return the last safe point of a fold's training; of one on other data or settings, nothing is kept."""
    checkpoint, _ = newest_checkpoint(folder.checkpoints)
    origin = None if checkpoint is None else Origin.read(folder, checkpoint)
    if origin is None or (origin.recipe_digest, origin.data) != (digest(part.plan.recipe), part.prepared.digest):
        shutil.rmtree(folder.path, ignore_errors=True)
        make_folder(folder.path)
        return Start()
    return Start(checkpoint)


def _write(run: Run, session: Session, folder: Run, part: Session, fold: int, count: int) -> None:
    checkpoint, _ = newest_checkpoint(folder.checkpoints)
    if checkpoint is None:
        raise RunError(f"{folder.checkpoints} holds no checkpoint that can be read. Resume the run.")
    plan = on_this_machine(checkpoint.plan)
    classifier = classifier_of(run, part, checkpoint).to(plan.device)
    assert isinstance(part.prepared, Prepared)
    with plan.in_effect():
        outputs = part.prepared.answers(classifier, "val")
        if outputs is None:
            raise DataError(f"None of the images of fold {fold + 1} can be read any more. Restore them.")
        reference = held_out_reference(classifier, part.prepared, outputs)
    if _keeps(session):
        kept = replace(classifier, seen=part.prepared.seen, reference=reference)
        save_classifier(kept, fold_folder(run, fold))
    buffer = io.BytesIO()
    np.savez(
        buffer,
        key=np.array(_key(session, fold, count)),
        index=outputs.index,
        logits=outputs.values.astype(np.float64),
        targets=outputs.targets,
        similarities=reference.similarities,
    )
    write_atomically(_answers(run, fold), buffer.getvalue())


def _read(run: Run, session: Session, fold: int, count: int) -> dict[str, np.ndarray] | None:
    """Return the answers of a fold; None where there are none for these data and settings, or they are damaged."""
    try:
        with np.load(io.BytesIO(read_regular(_answers(run, fold))), allow_pickle=False) as stored:
            if str(stored["key"]) != _key(session, fold, count):
                return None
            return {name: stored[name] for name in ("index", "logits", "targets", "similarities")}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None


def fold_folder(run: Run, fold: int) -> Path:
    """Return the folder of the classifier of a fold, of a run that keeps them."""
    return run.path / FOLDS / f"classifier-{fold + 1}"


def calibrate_folds(run: Run, session: Session, answers: FoldAnswers) -> None:
    """Give the classifiers of the folds, where the run keeps them, the temperature that calibrates all answers."""
    if not _keeps(session):
        return
    outcome = answers.outcome
    for fold in np.unique(outcome.folds).tolist():
        classifier, own = load_classifier(fold_folder(run, fold)), outcome.folds == fold
        classifier = calibrated(classifier, outcome.logits, outcome.targets)
        confidence = self_confidence(outcome.logits[own], outcome.targets[own], classifier.temperature)
        assert classifier.reference is not None
        reference = replace(classifier.reference, scores=(1 - confidence).astype(np.float32))
        save_classifier(replace(classifier, reference=reference), fold_folder(run, fold))


def _keeps(session: Session) -> bool:
    transfer = session.plan.recipe.transfer
    return isinstance(transfer, Trained) and transfer.keep_folds


def _answers(run: Run, fold: int) -> Path:
    return run.path / FOLDS / f"{fold + 1}.npz"


def _key(session: Session, fold: int, count: int) -> str:
    return f"fold {fold} of {count}, {digest(session.plan.recipe)}, {session.prepared.digest}"
