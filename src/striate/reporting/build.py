"""Read the material of a report from the folder of a run."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from jaxtyping import Float
from torch import nn

from striate.classifier import Classifier, load_classifier
from striate.core.config import to_json
from striate.core.device import device_here
from striate.core.errors import DataError, ModelError, StriateError
from striate.core.files import sweep, write_atomically
from striate.core.spec import InputSpec
from striate.data.audit import Audit, audit
from striate.data.dataset import SPLITS, Dataset
from striate.data.sources.opening import open_data
from striate.metrics import ClassificationScores, MultilabelRows, Rows, Temperature
from striate.models import MODELS, ModelCard, build_sketch
from striate.reporting.material import Example, ModelFacts, RunMaterial
from striate.reporting.render import render
from striate.reporting.sheets.augmented import augmentation_in_effect, augmented_images
from striate.reporting.sheets.explanation import mistake_maps
from striate.reporting.sheets.rgb import shown
from striate.runs.cross_validation import FOLDS, read_curve
from striate.runs.diagnosis import diagnose_run
from striate.runs.effect import settings_in_effect
from striate.runs.evaluate import Evaluation
from striate.runs.folder import Run
from striate.runs.images import named, own_splits
from striate.runs.mirrored import Mirrored
from striate.runs.plan import Plan
from striate.runs.prepare import Prepared
from striate.runs.transfer import Features
from striate.tracing import describe
from striate.training import read_events

_MISTAKES, _SUREST = 24, 12
_Rows = TypeVar("_Rows", Rows, MultilabelRows)


def write_run_report(run: Run) -> Path:
    """Write the report of `run` into its folder and return its path.

    Images are read from the data again; if the data no longer exist, the report has none.

    Raises:
        RunError: the run has no classifier yet, or is damaged.
        StriateError: the folder cannot be written, or the disk is full.
    """
    sweep(run.path)
    write_atomically(run.report_file, render(read_material(run)))
    return run.report_file


def read_material(run: Run) -> RunMaterial:
    """Read the material of the report of `run`.

    Raises:
        RunError: the run has no classifier yet, or is damaged.
    """
    plan = Plan.read(run)
    classifier = load_classifier(run.classifier_folder).to(device_here(plan.recipe.device))
    train, validation, test = (_evaluation(run, split, classifier) for split in SPLITS)
    judged = test or validation
    folds = _evaluation(run, FOLDS, classifier)
    splits = {each.name: each.scores for each in (train, validation, test, folds) if each}
    classified = {name: found for name, found in splits.items() if isinstance(found, ClassificationScores)}
    events = read_events(run.events_file)
    return RunMaterial(
        title=run.name,
        events=events,
        diagnosis=None if isinstance(plan.recipe.transfer, Features) else diagnose_run(run),
        kept_epoch=classifier.provenance.epochs,
        reason=next((event["reason"] for event in events if event["event"] == "finished"), None),
        model=_model(classifier),
        sections=classifier.task.sections,
        judged=splits,
        train=classified.get("train"),
        test=classified.get("test"),
        validation=classified.get("val"),
        seen=test.seen if test else None,
        mirrored=Mirrored.read(run),
        rows=judged.rows if judged and isinstance(judged.rows, Rows) else None,
        temperature=_temperature(classifier),
        selected=plan.recipe.stop.keep == "best",
        settings=tuple(
            (each.name, each.value, each.reason)
            for each in settings_in_effect(plan, classifier.input, classifier.labels)
        ),
        filters=_first_filters(classifier),
        recipe=to_json(plan.recipe),
        difference=plan.difference,
        provenance=_provenance(classifier, events, [each for each in (train, validation, test) if each]),
        unfinished=classifier.provenance.unfinished,
        folds=classified.get(FOLDS),
        curve=read_curve(run),
        probes=plan.probes,
        labels=run.labels_file.exists(),
        refused_by="" if classifier.reference is None else classifier.reference.measures,
        **_from_data(run, plan, classifier, judged, folds),
    )


def _evaluation(run: Run, split: str, classifier: Classifier) -> Evaluation | None:
    """Read the evaluation of a split; None if there is none for the weights of `classifier`."""
    found = Evaluation.read(run, split)
    return found if found and found.epochs in (None, classifier.provenance.epochs) else None


def _found_again(dataset: Dataset, found: Audit, rows: _Rows, names: tuple[str, ...]) -> _Rows:
    """Return the rows of images, called `names`, that still exist, under the indices that they have now."""
    numbers = {name: number for number, name in enumerate(dataset.store.names) if found.index.readable[number]}
    kept = np.array([row for row, name in enumerate(names) if name in numbers], np.int64)
    return replace(rows.take(kept), index=np.array([numbers[names[row]] for row in kept.tolist()], np.int64))


def _from_data(
    run: Run, plan: Plan, classifier: Classifier, judged: Evaluation | None, folds: Evaluation | None
) -> dict[str, Any]:
    """Read the audit and the images of answers from the data; if that fails, set the reason, `unread`."""
    found: dict[str, Any] = {}
    try:
        dataset = open_data(plan.data)
        looked = audit(dataset)
        recorded = own_splits(run, dataset, looked.index)
        # A training on splits of its own has the digest of these.
        found["changed"] = classifier.provenance.data_digest not in (looked.digest, looked.divided(recorded).digest)
        # After a cross-validation, all images are in the training split.
        looked = looked.divided() if folds is None else replace(looked, splits=recorded)
        found["audit"] = looked
        found |= _augmented(plan, Prepared(dataset, looked, classifier.input, classifier.labels))
        if judged is not None and isinstance(judged.rows, Rows):
            rows, classes = _found_again(dataset, looked, judged.rows, judged.names), judged.scores.classes
            found |= _with_maps(classifier, dataset, tuple(_examples(dataset, classes, rows.worst(_MISTAKES))))
            found["surest"] = tuple(_examples(dataset, classes, rows.surest(_SUREST)))
        if folds is not None and isinstance(folds.rows, Rows):
            rows = _found_again(dataset, looked, folds.rows, folds.names).worst(_MISTAKES)
            suspects = tuple(_examples(dataset, folds.scores.classes, rows))
            found["suspects"] = _with_maps(classifier, dataset, suspects)["mistakes"]
        labelled = judged or folds
        if labelled is not None and isinstance(labelled.rows, MultilabelRows):
            rows = _found_again(dataset, looked, labelled.rows, labelled.names)
            wrong = tuple(_label_examples(dataset, labelled.scores.classes, rows))
            found |= _with_maps(classifier, dataset, wrong)
    except StriateError as error:
        found["unread"] = str(error)
    return found


def _augmented(plan: Plan, prepared: Prepared) -> dict[str, Any]:
    """Load training images as the network sees them; none if too few images are left."""
    with contextlib.suppress(DataError):
        return {
            "augmented": augmented_images(plan, prepared),
            "augmentation": augmentation_in_effect(plan, prepared),
        }
    return {}


def _temperature(classifier: Classifier) -> Temperature | None:
    stored = classifier.provenance.temperature
    return Temperature.from_json(stored) if stored else None


def _examples(dataset: Dataset, classes: tuple[str, ...], rows: Rows) -> Iterator[Example]:
    for index, target, predicted, confidence in zip(
        rows.index.tolist(), rows.targets.tolist(), rows.predicted.tolist(), rows.confidence.tolist(), strict=True
    ):
        yield Example(
            image=shown(dataset.store.read(index)),
            name=dataset.store.name(index),
            index=index,
            given=classes[target],
            predicted=classes[predicted],
            confidence=confidence,
            label=classes[predicted],
        )


def _label_examples(dataset: Dataset, classes: tuple[str, ...], rows: MultilabelRows) -> Iterator[Example]:
    """Yield the most confident wrong decisions on a class of an image."""
    for row, number, confidence in rows.worst(_MISTAKES):
        index, label = int(rows.index[row]), classes[number]
        given, predicted = (label, f"not {label}") if rows.present[row, number] else (f"not {label}", label)
        yield Example(
            image=shown(dataset.store.read(index)),
            name=dataset.store.name(index),
            index=index,
            given=given,
            predicted=predicted,
            confidence=confidence,
            label=label,
        )


def _with_maps(classifier: Classifier, dataset: Dataset, mistakes: tuple[Example, ...]) -> dict[str, Any]:
    """Add maps that explain the wrong answers, and their method; or the reason why there are none."""
    if not mistakes:
        return {"mistakes": mistakes}
    images = [dataset.store.read(example.index) for example in mistakes]
    answers = [classifier.labels.classes.index(example.label) for example in mistakes]
    found = mistake_maps(classifier, images, answers)
    if isinstance(found, str):
        return {"mistakes": mistakes, "unexplained": found}
    mapped = (replace(example, why=drawn) for example, drawn in zip(mistakes, found.images, strict=True))
    return {"mistakes": tuple(mapped), "explained": found.method}


def _model(classifier: Classifier) -> ModelFacts:
    parameters = sum(parameter.numel() for parameter in classifier.model.parameters())
    facts = ModelFacts(
        name=classifier.model_name, input=classifier.input.shape, parameters=parameters, card=_card(classifier)
    )
    try:
        return replace(facts, layers=describe(classifier.model, classifier.input.shape))
    except ModelError as error:  # a model of the user's own may be untraceable
        return replace(facts, untraced=str(error))


def _card(classifier: Classifier) -> ModelCard | None:
    """Return the card of a zoo model or of an architecture string; None for a registered model."""
    if classifier.model_name in MODELS:
        return MODELS[classifier.model_name].card
    return getattr(build_sketch(classifier.model_name, **classifier.arguments), "card", None)


def _first_filters(classifier: Classifier) -> Float[np.ndarray, "n c h w"] | None:
    """Return the weights of the first layer as images; None if they have no spatial layout.

    A linear layer over all pixels has a filter of the size of the input for each of its outputs.
    """
    layers = (module for module in classifier.model.modules() if isinstance(module, (nn.Conv2d, nn.Linear)))
    first = next(layers, None)
    if first is None:
        return None
    weight = first.weight.detach().to(torch.float32).cpu()
    if isinstance(first, nn.Linear):
        if first.in_features != math.prod(classifier.input.shape):
            return None
        weight = weight.reshape(-1, *classifier.input.shape)
    return weight.numpy()


def _provenance(
    classifier: Classifier, events: list[dict[str, Any]], evaluations: Sequence[Evaluation]
) -> Mapping[str, str]:
    origin = classifier.provenance
    seconds = max((event["wall"].get("seconds", 0.0) for event in events), default=0.0)
    facts = {
        "data": origin.data,
        "data digest": origin.data_digest,
        "recipe": f"{origin.recipe} (digest {origin.recipe_digest[:12]}…)",
        "seed": str(origin.seed),
        "epochs": f"{origin.epochs:g}",
        "training time": f"{seconds:.1f} s",
        "created": origin.created,
    }
    changes = [phrase for event in events if event["event"] == "resumed" for phrase in event.get("changes", ())]
    gone = [name for each in evaluations for name in each.unread]
    if changes:
        facts["changed during training"] = "; ".join(changes)
    if gone:
        facts["not evaluated"] = f"images that could no longer be read: {named(tuple(gone))}"
    return facts | origin.circumstances | {"input": _preparation(classifier.input)}


def _preparation(spec: InputSpec) -> str:
    """Describe the preparation of images."""
    moments = ", ".join(
        f"{name} {mean:.4g} ± {std:.4g}" for name, mean, std in zip(spec.channels, spec.mean, spec.std, strict=True)
    )
    return f"{spec.height}×{spec.width} pixels, {spec.resize}, {spec.filter}; mean and std of {moments}"
