"""The classifier of a checkpoint, and the run's classifier while the training goes on."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from torch import nn

from striate.classifier import Classifier, Provenance, SeenImages, describe_standing, save_classifier
from striate.core.config import digest
from striate.models import build_sketch
from striate.models.weights.entries import entry, is_entry
from striate.runs.folder import Run
from striate.runs.plan import Plan
from striate.runs.train import Session
from striate.training import Checkpoint


class Publisher:
    """Writes the run's classifier whenever the training writes a checkpoint (`training.Publish`).

    The weights are those that the recipe keeps, of the best evaluation or the last; before the first evaluation the
    last. The provenance records that the training is unfinished, and its position.
    """

    def __init__(self, run: Run, session: Session) -> None:
        self._run, self._session = run, session
        self._seen: SeenImages | None = session.prepared.seen  # written with the first classifier: it stays the same

    def __call__(self, checkpoint: Checkpoint, best_step: int | None) -> None:
        """Write the weights of `checkpoint` if they are to be kept, else only the position of the training.

        Raises:
            RunError: the folder cannot be written, or the disk is full.
        """
        if checkpoint.clock.step == 0:
            return  # nothing is learned yet
        recipe = self._session.plan.recipe
        standing = recipe.epochs.position(checkpoint.clock)
        if recipe.stop.keep == "last" or best_step in (None, checkpoint.clock.step):
            classifier = classifier_of(self._run, self._session, checkpoint)
            provenance = replace(classifier.provenance, unfinished=standing)
            save_classifier(replace(classifier, provenance=provenance, seen=self._seen), self._run.classifier_folder)
            self._seen = None
        else:
            describe_standing(self._run.classifier_folder, standing)


def classifier_of(run: Run, session: Session, checkpoint: Checkpoint) -> Classifier:
    """Return the classifier with the weights of `checkpoint`, on the CPU, in contiguous layout."""
    plan, prepared = session.plan, session.prepared
    provenance = Provenance(
        run=run.name,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        data=plan.data,
        data_digest=prepared.digest,
        recipe=plan.base,
        recipe_digest=digest(plan.recipe),
        seed=plan.recipe.seed,
        epochs=checkpoint.clock.epochs,
        circumstances={**checkpoint.circumstances, **licence_of(plan)},
    )
    model = _with_weights(session, checkpoint)
    return Classifier(
        model,
        plan.recipe.model,
        session.arguments,
        prepared.input,
        prepared.labels,
        provenance,
        task=plan.recipe.task,
    )


def licence_of(plan: Plan) -> dict[str, str]:
    """Return the licence of the weights that a training starts from as a circumstance of it, if the catalogue has one.

    The trained weights are derived from them.
    """
    started = plan.recipe.weights or ""
    if not is_entry(started) or not (licence := entry(started).licence):
        return {}
    return {"licence": f"{licence} (of the weights that the training started from)"}


def _with_weights(session: Session, checkpoint: Checkpoint) -> nn.Module:
    """Return the network in eval mode with the tensors of `checkpoint`, averaged ones if it has any.

    No weights are initialised first.
    """
    network = build_sketch(session.plan.recipe.model, **session.arguments)
    network.load_state_dict(checkpoint.average or checkpoint.weights, assign=True)
    return network.eval()
