"""From a run's folder to what its report is made from."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import nn

from striate.classifier import Classifier, load_classifier
from striate.core.config import to_json
from striate.core.device import device_named
from striate.core.errors import ModelError, StriateError
from striate.core.files import sweep
from striate.core.spec import InputSpec
from striate.data.audit.audit import Audit, audit
from striate.data.dataset import SPLITS, Dataset
from striate.data.sources.opening import open_data
from striate.metrics import Rows, Temperature
from striate.models import MODELS, ModelCard, build_sketch
from striate.reporting.material import DataFacts, Example, Finding, LayerRow, ModelFacts, RunMaterial
from striate.reporting.render import write_report
from striate.reporting.sheets.mistake_maps import why
from striate.reporting.sheets.rgb import shown
from striate.runs.effect import settings_in_effect
from striate.runs.evaluate import Evaluation
from striate.runs.folder import Plan, Run
from striate.runs.images import named
from striate.tracing import describe
from striate.training import read_events

_MISTAKES, _SUREST = 24, 12


def write_run_report(run: Run) -> Path:
    """Write the report of `run` into its folder, and say where it lies.

    Pictures are read from the data again; where the data are no longer there, the report does without them.

    Raises:
        RunError: the run has no classifier yet, or is damaged.
    """
    sweep(run.path)
    write_report(gather(run), run.report_file)
    return run.report_file


def gather(run: Run) -> RunMaterial:
    """Everything that the report of `run` shows.

    Raises:
        RunError: the run has no classifier yet, or is damaged.
    """
    plan = Plan.read(run)
    classifier = load_classifier(run.classifier_folder).to(device_named("auto"))
    train, validation, test = (_evaluation(run, split, classifier) for split in SPLITS)
    judged = test or validation
    events = read_events(run.events_file)
    return RunMaterial(
        title=run.name,
        events=events,
        best_epoch=_best_epoch(events),
        kept_epoch=classifier.provenance.epochs,
        reason=next((event["reason"] for event in events if event["event"] == "finished"), None),
        model=_model(classifier),
        train=train.judgement if train else None,
        test=test.judgement if test else None,
        validation=validation.judgement if validation else None,
        rows=judged.rows if judged else None,
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
        **_from_data(plan, classifier, judged),
    )


def _evaluation(run: Run, split: str, classifier: Classifier) -> Evaluation | None:
    """How the weights of `classifier` were judged on a split; None where they were not, or others were."""
    found = Evaluation.read(run, split)
    return found if found and found.epochs in (None, classifier.provenance.epochs) else None


def _found_again(dataset: Dataset, found: Audit, judged: Evaluation) -> Rows:
    """The rows of the judged images that are still there, under the indices that they have now."""
    numbers = {name: number for number, name in enumerate(dataset.store.names) if found.survey.readable[number]}
    kept = [row for row, name in enumerate(judged.names) if name in numbers]
    rows = judged.rows
    return Rows(
        index=np.array([numbers[judged.names[row]] for row in kept], np.int64),
        targets=rows.targets[kept],
        predicted=rows.predicted[kept],
        confidence=rows.confidence[kept],
    )


def _from_data(plan: Plan, classifier: Classifier, judged: Evaluation | None) -> dict[str, Any]:
    """What is read from the data again: facts, findings and answers to look at.

    Of data that have gone or changed, what could not be read, and why: the report says it and does without.
    """
    found: dict[str, Any] = {}
    try:
        dataset = open_data(plan.data)
        looked = audit(dataset)
        found |= {"data": _data(dataset, looked), "audit": _findings(looked)}
        if judged is not None:
            rows, classes = _found_again(dataset, looked, judged), judged.judgement.classes
            found |= _with_maps(classifier, dataset, tuple(_examples(dataset, classes, rows.worst(_MISTAKES))))
            found["surest"] = tuple(_examples(dataset, classes, rows.surest(_SUREST)))
    except StriateError as error:
        found["unread"] = str(error)
    return found


def _temperature(classifier: Classifier) -> Temperature | None:
    stored = classifier.provenance.temperature
    return Temperature.from_json(stored) if stored else None


def _best_epoch(events: list[dict[str, Any]]) -> float | None:
    """The epoch of the evaluation that was best by the metric that the run followed."""
    best = next((event["best_step"] for event in events if event["event"] == "finished"), None)
    clocks = (event["clock"] for event in events if event["event"] == "evaluated")
    return next((float(clock["epoch"]) for clock in clocks if clock["step"] == best), None)


def _data(dataset: Dataset, found: Audit) -> DataFacts:
    parts = found.parts
    counts = {
        part: np.bincount(dataset.targets[parts[part]], minlength=len(dataset.classes)).tolist()
        for part in SPLITS
        if len(parts[part])
    }
    brought = [part for part in SPLITS if part in dataset.splits]
    made = [part for part in counts if part not in brought]
    kinds = ((brought, "brought by the data"), (made, "split by Striate"))
    origin = "; ".join(f"{', '.join(names)}: {how}" for names, how in kinds if names)
    return DataFacts(
        name=dataset.name,
        source=dataset.source,
        classes=dataset.classes,
        counts=counts,
        origin=origin,
        left_out=len(found.unread),
    )


def _findings(found: Audit) -> tuple[Finding, ...]:
    return tuple(Finding(sentence=item.sentence, level=item.level, names=item.names) for item in found.findings)


def _examples(dataset: Dataset, classes: tuple[str, ...], rows: Rows) -> Iterator[Example]:
    for index, target, predicted, confidence in zip(
        rows.index.tolist(), rows.targets.tolist(), rows.predicted.tolist(), rows.confidence.tolist(), strict=True
    ):
        yield Example(
            picture=shown(dataset.store.read(index)),
            name=dataset.store.name(index),
            index=index,
            given=classes[target],
            predicted=classes[predicted],
            confidence=confidence,
        )


def _with_maps(classifier: Classifier, dataset: Dataset, mistakes: tuple[Example, ...]) -> dict[str, Any]:
    """The mistakes with maps of what spoke for the wrong answers and how these were made; or without, and why."""
    if not mistakes:
        return {"mistakes": mistakes}
    pictures = [dataset.store.read(example.index) for example in mistakes]
    found = why(classifier, pictures, [classifier.labels.classes.index(example.predicted) for example in mistakes])
    if isinstance(found, str):
        return {"mistakes": mistakes, "unexplained": found}
    mapped = (replace(example, why=drawn) for example, drawn in zip(mistakes, found.pictures, strict=True))
    return {"mistakes": tuple(mapped), "explained": found.method}


def _model(classifier: Classifier) -> ModelFacts:
    card = _card(classifier)
    layers: tuple[LayerRow, ...] = ()
    parameters, macs = sum(parameter.numel() for parameter in classifier.model.parameters()), None
    with contextlib.suppress(ModelError):  # a model of the user's own need not be traceable
        description = describe(classifier.model, classifier.input.shape)
        macs = description.totals.macs
        layers = tuple(
            LayerRow(
                name=row.path,
                kind=f"{row.kind} {row.detail}".strip(),
                output=row.output_shape,
                parameters=row.parameters,
                macs=row.macs,
                receptive_field=row.receptive_field,
                bound=row.bound,
            )
            for row in description.rows
        )
    return ModelFacts(
        name=classifier.model_name,
        title=card.title if card else "a model of your own",
        input=classifier.input.shape,
        parameters=parameters,
        macs=macs,
        layers=layers,
        authors=card.authors if card else None,
        year=card.year if card else None,
        paper=card.paper if card else None,
    )


def _card(classifier: Classifier) -> ModelCard | None:
    """Return the card of a model of the zoo or of a written network; a registered model has none."""
    if classifier.model_name in MODELS:
        return MODELS[classifier.model_name].card
    return getattr(build_sketch(classifier.model_name, **classifier.arguments), "card", None)


def _first_filters(classifier: Classifier) -> Float[np.ndarray, "n c h w"] | None:
    """The weights of the first layer, if they can be seen as pictures: those of a convolution are, and a linear layer
    over all pixels has one as large as the input for each of its outputs."""
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
        "best epoch": f"{origin.epochs:g}",
        "time spent training": f"{seconds:.1f} s",
        "written": origin.created,
    }
    changes = [phrase for event in events if event["event"] == "resumed" for phrase in event.get("changes", ())]
    gone = [name for each in evaluations for name in each.unread]
    if changes:
        facts["changed on the way"] = "; ".join(changes)
    if gone:
        facts["not judged"] = f"images that could not be read any more: {named(tuple(gone))}"
    return facts | origin.circumstances | {"input": _fed(classifier.input)}


def _fed(spec: InputSpec) -> str:
    """How pictures are prepared, in words."""
    moments = ", ".join(
        f"{name} {mean:.4g} ± {std:.4g}" for name, mean, std in zip(spec.channels, spec.mean, spec.std, strict=True)
    )
    return f"{spec.height}×{spec.width} pixels, {spec.resize}, {spec.filter}; mean and std of {moments}"
