"""What a finished training leaves: its weights as a classifier, calibrated, and judged on unseen pictures."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime

from striate.classifier import Classifier, Provenance, save_classifier
from striate.core.config import digest
from striate.core.errors import RunError
from striate.data.dataset import Split
from striate.metrics import Judgement, measure_temperature
from striate.recipes.folder import Run
from striate.recipes.judging import Evaluation, evaluation, sort_out
from striate.recipes.session import Session
from striate.recipes.stage import Progress
from striate.training import Checkpoint, Ending, Outputs, checkpoint_path, newest_checkpoint, read_checkpoint


@dataclass(frozen=True)
class Conclusion:
    """How the weights that were kept, those of `kept_epoch`, did on each split."""

    kept_epoch: float
    judgements: dict[str, Judgement]


def conclude(run: Run, session: Session, ending: Ending) -> Generator[Progress, None, Conclusion]:
    """Judge the weights to keep on each split, and write classifier and evaluations into `run`.

    The temperature is fitted on the validation split, which may also have chosen the epoch, so only what is said of the
    test split is said of unseen images.
    """
    checkpoint = _kept(run, session, ending)
    prepared = session.prepared
    classifier = replace(_classifier(run, session, checkpoint), seen=prepared.seen)
    validation = yield from prepared.answers(classifier, "val")
    if validation is None:
        raise RunError("The validation split is empty, so that the temperature cannot be fitted. Restore its images.")
    temperature = measure_temperature(validation.logits, validation.targets, selected=_selects(session, ending))
    classifier = replace(classifier, temperature=temperature.value)
    test = yield from prepared.answers(classifier, "test")
    train = yield from prepared.answers(classifier, "train")
    outputs: dict[Split, Outputs | None] = {"train": train, "val": validation, "test": test}
    evaluations = [_evaluation(split, rows, classifier, session) for split, rows in outputs.items() if rows is not None]
    for each in evaluations:
        each.write(run)
    scores = {each.name: _scores(each) for each in evaluations}
    provenance = replace(classifier.provenance, scores=scores, temperature=asdict(temperature))
    save_classifier(replace(classifier, provenance=provenance), run.classifier_folder)
    return Conclusion(checkpoint.clock.epochs, {each.name: each.judgement for each in evaluations})


def _evaluation(split: Split, outputs: Outputs, classifier: Classifier, session: Session) -> Evaluation:
    prepared = session.prepared
    _, seen = sort_out(classifier.seen, outputs.index, prepared.digests, keep=True)
    names = prepared.names(split, outputs.index)
    return evaluation(split, session.plan.data, names, classifier, outputs, seen)


def _selects(session: Session, ending: Ending) -> bool:
    """Whether the validation images chose the epoch: by the best score, or by early stopping."""
    stop = session.plan.recipe.stop
    return (stop.keep == "best" and ending.best_step is not None) or stop.patience is not None


def _kept(run: Run, session: Session, ending: Ending) -> Checkpoint:
    """The checkpoint whose weights the recipe wants; without any evaluation the last is the best that is known."""
    if session.plan.recipe.stop.keep == "best" and ending.best_step is not None:
        return read_checkpoint(checkpoint_path(run.checkpoints, ending.best_step))
    last, _ = newest_checkpoint(run.checkpoints)
    if last is None:
        raise RunError(f"{run.checkpoints} holds no checkpoint that can be read. Resume the run.")
    return last


def _classifier(run: Run, session: Session, checkpoint: Checkpoint) -> Classifier:
    """The classifier with the weights of `checkpoint`, in plain layout, on the device of the training."""
    plan, prepared = session.plan, session.prepared
    model = session.build()
    model.load_state_dict(checkpoint.weights)
    provenance = Provenance(
        run=run.name,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        data=plan.data,
        data_digest=prepared.digest,
        recipe=plan.base,
        recipe_digest=digest(plan.recipe),
        seed=plan.recipe.seed,
        epochs=checkpoint.clock.epochs,
        circumstances=dict(checkpoint.circumstances),
    )
    model = model.to(checkpoint.plan.device)
    return Classifier(model.eval(), plan.recipe.model, session.arguments, prepared.input, prepared.labels, provenance)


def _scores(judged: Evaluation) -> dict[str, float]:
    judgement = judged.judgement
    return {"accuracy": judgement.top1.value or 0.0, "loss": judgement.loss, "pictures": float(judgement.count)}
