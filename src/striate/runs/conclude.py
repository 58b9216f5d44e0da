"""The end of a run: its classifier is calibrated and evaluated."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch
from torch import nn

from striate.classifier import Classifier, save_classifier
from striate.classifier.reference import LEAST
from striate.core.device import on_this_machine
from striate.core.errors import DataError, ModelError, RunError
from striate.core.processes import ALONE, Processes
from striate.data.dataset import SPLITS, Split
from striate.runs.cross_validation import (
    OutOfFold,
    calibrated,
    folds_evaluation,
    learning_curve,
    make_reference,
    write_curve,
)
from striate.runs.evaluate import Evaluation, GoneError, answers, evaluation, with_targets
from striate.runs.events import RunFinished
from striate.runs.folder import Run
from striate.runs.held_out import held_out_reference
from striate.runs.labels import write_labels
from striate.runs.mirrored import measure_mirroring
from striate.runs.prepare import Prepared
from striate.runs.probe import Fit, all_features, cross_validate, fold_count, place_in
from striate.runs.publish import classifier_of
from striate.runs.recipe import Recipe
from striate.runs.seen import sort_out
from striate.runs.several import on_own_device
from striate.runs.train import Session
from striate.runs.trained_folds import calibrate_folds, fold_folder, read_folds
from striate.runs.transfer import Features, Trained
from striate.tasks import CLASSIFICATION
from striate.training import (
    Checkpoint,
    DamagedCheckpointError,
    Ending,
    Outputs,
    checkpoint_path,
    newest_checkpoint,
    read_checkpoint,
)

_CHECKED = 8
"""Number of images of a split that also run through the whole network, to check outputs computed from features."""
_SAME = 1e-3
"""Largest difference of these outputs, relative to the largest logit: rounding, also of folded norms."""


def conclude(
    run: Run, session: Session, ending: Ending, lost: tuple[str, ...] = (), *, processes: Processes = ALONE
) -> RunFinished:
    """Evaluate the weights to keep on each split, and write classifier and evaluations into `run`.

    All of it runs under the plan of the training, in its layout: a small network on more threads is slower, on a busy
    machine by far.

    `lost` names images that could not be read from the start. Each of several `processes` computes a part of the
    outputs.

    The temperature is fitted on the validation split, by which the epoch may have been chosen too, so only the test
    split shows how the classifier does on unseen images.
    """
    checkpoint = processes.once(lambda: _kept(run, session, ending))
    checkpoint = replace(checkpoint, plan=on_own_device(on_this_machine(checkpoint.plan), processes))
    prepared = session.prepared
    classifier = replace(classifier_of(run, session, checkpoint), seen=prepared.seen)
    checkpoint.plan.adopt(classifier.model)
    judged: dict[Split, Outputs] = {}
    gone: dict[Split, tuple[str, ...]] = {}
    with checkpoint.plan.in_effect():
        for split in SPLITS:
            outputs = _outputs(session, classifier, split, processes)
            gone[split] = prepared.unread(split, outputs)
            if outputs is not None:
                judged[split] = outputs
        if not judged:
            raise DataError(f"None of the images of {run.path} can be read any more. Its weights can still be used.")
        unread = (*lost, *(name for names in gone.values() for name in names))
        return processes.once(lambda: _conclude(run, session, ending, checkpoint, classifier, judged, gone, unread))


def _conclude(
    run: Run,
    session: Session,
    ending: Ending,
    checkpoint: Checkpoint,
    classifier: Classifier,
    judged: Mapping[Split, Outputs],
    gone: Mapping[Split, tuple[str, ...]],
    unread: tuple[str, ...],
) -> RunFinished:
    """Fit and judge `classifier` by its outputs for each split, and write it."""
    prepared = session.prepared
    if "val" in judged:
        val = judged["val"]
        classifier = calibrated(classifier, val.values, val.targets, selected=_selects(session, ending))
    classifier, folds = _cross_validated(run, session, classifier)
    classifier = _with_reference(session, classifier, judged)
    evaluations = [_evaluation(split, rows, classifier, session, gone[split]) for split, rows in judged.items()]
    evaluations += folds
    for each in evaluations:
        each.write(run)
    summaries = {each.name: each.scores.summary() for each in evaluations}
    provenance = replace(classifier.provenance, scores=summaries)
    save_classifier(replace(classifier, provenance=provenance), run.classifier_folder)
    mirrored = measure_mirroring(prepared, session.plan.recipe, classifier, judged["val"]) if "val" in judged else None
    if mirrored is not None:
        mirrored.write(run)
    return RunFinished(
        run=run,
        reason=ending.reason,
        kept_epoch=None if isinstance(session.plan.recipe.transfer, Features) else checkpoint.clock.epochs,
        scores={each.name: each.scores for each in evaluations},
        unread=unread,
        mirrored=mirrored,
    )


def _outputs(session: Session, classifier: Classifier, split: Split, processes: Processes) -> Outputs | None:
    """Return the classifier's outputs for a split; from the features that its run has computed, where it has."""
    recipe, prepared = session.plan.recipe, session.prepared
    found = None
    if isinstance(recipe.transfer, Features) and isinstance(prepared, Prepared):
        found = _head_outputs(recipe, prepared, classifier, split)
    return prepared.answers(classifier, split, processes=processes) if found is None else found


def _head_outputs(recipe: Recipe, prepared: Prepared, classifier: Classifier, split: Split) -> Outputs | None:
    """Return the outputs of the last layer for the features of a split.

    None if the split is empty, or if the whole network has other outputs for a few of its images: images may have
    changed since.
    """
    index, head = prepared.splits[split], classifier.model.get_submodule(str(classifier.model.head))
    if not len(index) or not isinstance(head, nn.Linear):
        return None
    features = all_features(recipe, prepared)
    rows = torch.from_numpy(features.rows(place_in(recipe, features), index)).to(classifier.device)
    with torch.inference_mode():
        logits = head(rows).float().cpu().numpy()
    few = np.unique(np.linspace(0, len(index) - 1, _CHECKED).astype(int))
    try:
        checked = answers(classifier, prepared.dataset, index[few])
    except GoneError:
        return None
    tolerance = _SAME * float(np.abs(checked.values).max())
    if len(checked.index) < len(few) or not np.allclose(logits[few], checked.values, rtol=0, atol=tolerance):
        return None
    learned = with_targets(prepared.dataset, classifier.task, prepared.labels)
    return Outputs(classifier.task, logits, learned.targets[index], index)


def _cross_validated(run: Run, session: Session, classifier: Classifier) -> tuple[Classifier, list[Evaluation]]:
    """Return the classifier of a run on features or with folds with its reference, and the evaluation of its folds.

    The learning curve of features, and the labels with suspects, are written into the run.
    """
    recipe, prepared = session.plan.recipe, session.prepared
    if not isinstance(prepared, Prepared):
        return classifier, []
    if isinstance(recipe.transfer, Features):
        rows, outcome, fit = cross_validate(recipe, prepared)
        indices, folds = prepared.splits["train"], fold_count(recipe, prepared) > 1
        single = classifier.task.name == CLASSIFICATION.name
        classifier = calibrated(classifier, outcome.logits, outcome.targets) if folds else classifier
        if single:
            head = str(classifier.model.head)
            reference = make_reference(head, rows, outcome, temperature=classifier.temperature)
            classifier = replace(classifier, reference=reference)
        if not folds:
            return classifier, []
        if single:
            write_curve(run, learning_curve(rows, outcome.targets, outcome.folds, fit))
        if recipe.transfer.keep_folds:
            _keep_folds(run, classifier, rows, outcome, fit)
    else:
        found = read_folds(run, session)
        if found is None:
            return classifier, []
        indices, outcome = found.index, found.outcome
        calibrate_folds(run, session, found)
        classifier = calibrated(classifier, outcome.logits, outcome.targets)
        outputs = Outputs(classifier.task, outcome.logits, outcome.targets, indices)
        reference = held_out_reference(classifier, prepared, outputs, found.similarities)
        classifier = replace(classifier, reference=reference)
    if outcome.targets.ndim == 1:
        write_labels(run, prepared.dataset, prepared.index, indices, outcome)
    return classifier, [folds_evaluation(session.plan.data, prepared.dataset, indices, outcome, classifier)]


def _keep_folds(run: Run, classifier: Classifier, rows: np.ndarray, outcome: OutOfFold, fit: Fit) -> None:
    """Write the classifiers of the folds: `classifier` with the last layer that is fitted without the fold."""
    head = str(classifier.model.head)
    for fold in np.unique(outcome.folds).tolist():
        others = outcome.folds != fold
        fitted, member = fit(rows[others], outcome.targets[others]), copy.deepcopy(classifier.model)
        with torch.no_grad():
            for name in ("weight", "bias"):
                member.get_parameter(f"{head}.{name}").copy_(torch.from_numpy(getattr(fitted, name)))
        save_classifier(replace(classifier, model=member), fold_folder(run, fold))


def _with_reference(session: Session, classifier: Classifier, judged: Mapping[Split, Outputs]) -> Classifier:
    """Return the classifier with the reference of its network, where a cross-validation has not given it one.

    Of a training from random weights, the training images compared are those that are evaluated, and similarity
    decides alone: the largest logit of such a network is often high for images unlike its classes.
    """
    prepared, outputs = session.prepared, judged.get("val")
    trained = isinstance(session.plan.recipe.transfer, Trained)
    if (
        classifier.reference is not None
        or outputs is None
        or (len(outputs.index) < LEAST and not trained)
        or "train" not in judged
        or not isinstance(prepared, Prepared)
        or classifier.task.name != CLASSIFICATION.name
    ):
        return classifier
    known = None if trained else judged["train"].index
    with contextlib.suppress(ModelError):  # no last layer is found
        reference = held_out_reference(classifier, prepared, outputs, known=known)
        return replace(classifier, reference=reference if trained else replace(reference, logits=None))
    return classifier


def _evaluation(
    split: Split, outputs: Outputs, classifier: Classifier, session: Session, gone: tuple[str, ...]
) -> Evaluation:
    prepared = session.prepared
    _, seen = sort_out(classifier.seen, outputs.index, prepared.index, keep=True)
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
