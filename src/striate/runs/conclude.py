"""End a training: write its classifier, calibrated, and the evaluation of each split."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace

from striate.classifier import Classifier, save_classifier
from striate.core.errors import DataError, RunError
from striate.data.dataset import SPLITS, Split
from striate.metrics import EVALUATORS, Judged
from striate.runs.evaluate import Evaluation, evaluation, sort_out
from striate.runs.folder import Run
from striate.runs.publishing import classifier_of
from striate.runs.train import Session
from striate.training import (
    Checkpoint,
    DamagedCheckpointError,
    Ending,
    Outputs,
    checkpoint_path,
    newest_checkpoint,
    read_checkpoint,
)


@dataclass(frozen=True)
class Conclusion:
    """The evaluation of each split with the weights that were kept, those of `kept_epoch`.

    `unread` names the images that were left out because they can no longer be read.
    """

    kept_epoch: float
    judgements: dict[str, Judged]
    unread: tuple[str, ...] = ()


def conclude(run: Run, session: Session, ending: Ending) -> Conclusion:
    """Evaluate the weights to keep on each split, and write classifier and evaluations into `run`.

    The temperature is fitted on the validation split, by which the epoch may have been chosen too, so only the test
    split shows how the classifier does on unseen images.
    """
    checkpoint = _kept(run, session, ending)
    prepared = session.prepared
    classifier = replace(classifier_of(run, session, checkpoint), seen=prepared.seen).to(checkpoint.plan.device)
    judged: dict[Split, Outputs] = {}
    gone: dict[Split, tuple[str, ...]] = {}
    for split in SPLITS:
        outputs = prepared.answers(classifier, split)
        gone[split] = prepared.unread(split, outputs)
        if outputs is not None:
            judged[split] = outputs
    if not judged:
        raise DataError(f"None of the images of {run.path} can be read any more. Its weights can be used all the same.")
    classifier = _calibrated(classifier, judged.get("val"), _selects(session, ending))
    evaluations = [_evaluation(split, rows, classifier, session, gone[split]) for split, rows in judged.items()]
    for each in evaluations:
        each.write(run)
    scores = {each.name: each.judgement.summary() for each in evaluations}
    provenance = replace(classifier.provenance, scores=scores)
    save_classifier(replace(classifier, provenance=provenance), run.classifier_folder)
    judgements = {each.name: each.judgement for each in evaluations}
    return Conclusion(checkpoint.clock.epochs, judgements, tuple(name for names in gone.values() for name in names))


def _calibrated(classifier: Classifier, outputs: Outputs | None, selected: bool) -> Classifier:
    """Return the classifier with the temperature fitted on `outputs`, those of the validation split."""
    calibrate = EVALUATORS[classifier.task.name].calibrate
    if outputs is None or calibrate is None:
        return classifier
    temperature = calibrate(outputs.values, outputs.targets, selected=selected)
    provenance = replace(classifier.provenance, temperature=temperature.to_json())
    return replace(classifier, temperature=temperature.value, provenance=provenance)


def _evaluation(
    split: Split, outputs: Outputs, classifier: Classifier, session: Session, gone: tuple[str, ...]
) -> Evaluation:
    prepared = session.prepared
    _, seen = sort_out(classifier.seen, outputs.index, prepared.digests, keep=True)
    names = prepared.names(split, outputs.index)
    return evaluation(split, session.plan.data, names, classifier, outputs, seen, gone)


def _selects(session: Session, ending: Ending) -> bool:
    """Return whether the epoch was chosen by validation images: by the best score, or by early stopping."""
    stop = session.plan.recipe.stop
    return (stop.keep == "best" and ending.best_step is not None) or stop.patience is not None


def _kept(run: Run, session: Session, ending: Ending) -> Checkpoint:
    """Read the checkpoint whose weights the recipe keeps.

    Without any evaluation, and where the best checkpoint is damaged, this is the last.
    """
    if session.plan.recipe.stop.keep == "best" and ending.best_step is not None:
        with contextlib.suppress(DamagedCheckpointError):
            return read_checkpoint(checkpoint_path(run.checkpoints, ending.best_step))
    last, _ = newest_checkpoint(run.checkpoints)
    if last is None:
        raise RunError(f"{run.checkpoints} holds no checkpoint that can be read. Resume the run.")
    return last
