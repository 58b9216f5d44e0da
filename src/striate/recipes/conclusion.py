"""What a finished training leaves: its weights as a classifier, calibrated, and judged on unseen pictures."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from striate.classifier import Classifier, Provenance, save_classifier
from striate.core.config import digest
from striate.core.errors import RunError
from striate.data.dataset import Split
from striate.metrics import Judgement, fit_temperature
from striate.recipes.folder import Run
from striate.recipes.judging import Evaluation, answers, evaluation
from striate.recipes.session import Session
from striate.recipes.stage import Progress, watched
from striate.training import Checkpoint, Ending, Outputs, checkpoint_path, newest_checkpoint, read_checkpoint


@dataclass(frozen=True)
class Conclusion:
    """How the weights that were kept, those of `kept_epoch`, did on each split."""

    kept_epoch: float
    judgements: dict[str, Judgement]


def conclude(run: Run, session: Session, ending: Ending) -> Generator[Progress, None, Conclusion]:
    """Judge the weights to keep on the validation and the test part, and write classifier and evaluations into `run`.

    The temperature is fitted on the validation part, so only what is said of the test part is said of unseen pictures.
    """
    checkpoint = _kept(run, session, ending)
    classifier = _classifier(run, session, checkpoint)
    outputs = {"val": (yield from _answers(classifier, session, "val"))}
    classifier = replace(classifier, temperature=fit_temperature(outputs["val"].logits, outputs["val"].targets))
    if len(session.prepared.parts["test"]):
        outputs["test"] = yield from _answers(classifier, session, "test")
    evaluations = [
        evaluation(part, session.plan.data, session.prepared.dataset, classifier, rows)
        for part, rows in outputs.items()
    ]
    for each in evaluations:
        each.write(run)
    scores = {each.name: _scores(each) for each in evaluations}
    provenance = replace(classifier.provenance, scores=scores)
    save_classifier(replace(classifier, provenance=provenance), run.classifier)
    return Conclusion(checkpoint.clock.epochs, {each.name: each.judgement for each in evaluations})


def _answers(classifier: Classifier, session: Session, part: Split) -> Generator[Progress, None, Outputs]:
    prepared = session.prepared
    return (
        yield from watched(
            f"judging the {part} part",
            lambda progress: answers(classifier, prepared.dataset, prepared.parts[part], progress=progress),
        )
    )


def _kept(run: Run, session: Session, ending: Ending) -> Checkpoint:
    """The checkpoint whose weights the recipe wants; without any evaluation the last is the best that is known."""
    if session.plan.recipe.stop.keep == "best" and ending.best_step is not None:
        return read_checkpoint(checkpoint_path(run.checkpoints, ending.best_step))
    last, _ = newest_checkpoint(run.checkpoints)
    if last is None:
        raise RunError(f"{run.checkpoints} holds no checkpoint that can be read. Resume the run.")
    return last


def _classifier(run: Run, session: Session, checkpoint: Checkpoint) -> Classifier:
    """The classifier with the weights of `checkpoint`, on the processor, in plain layout, as it will be loaded."""
    plan, prepared = session.plan, session.prepared
    model = session.build()
    model.load_state_dict(checkpoint.weights)
    provenance = Provenance(
        run=run.name,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        data=plan.data,
        data_digest=prepared.audit.digest,
        recipe=plan.base,
        recipe_digest=digest(plan.recipe),
        seed=plan.recipe.seed,
        epochs=checkpoint.clock.epochs,
        circumstances=dict(checkpoint.circumstances),
    )
    return Classifier(model.eval(), plan.recipe.model, session.arguments, prepared.input, prepared.labels, provenance)


def _scores(judged: Evaluation) -> dict[str, float]:
    judgement = judged.judgement
    return {"accuracy": judgement.top1.value or 0.0, "loss": judgement.loss, "pictures": float(judgement.count)}
