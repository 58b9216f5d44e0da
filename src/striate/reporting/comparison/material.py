"""The values of a comparison, read from the folders of the runs."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from striate.core.config import from_json
from striate.core.difference import difference, dotted
from striate.core.errors import ConfigError
from striate.core.spec import InputSpec
from striate.data.augmentation.augment import augmentations_in_effect
from striate.data.dataset import SPLITS
from striate.diagnosing import History, last_clock, read_history
from striate.metrics import ClassificationScores, Rows
from striate.metrics.paired import Paired, holm
from striate.plot import MOST
from striate.runs.cross_validation import FOLDS
from striate.runs.evaluate import Evaluation
from striate.runs.folder import Run
from striate.runs.plan import Plan
from striate.runs.recipe import Recipe
from striate.training import read_events

JUDGED = ("test", FOLDS, "val")
"""Evaluations that runs are compared by: the first that two of them have."""


@dataclass(frozen=True, eq=False)
class Compared:
    """One run of a comparison under its `name`.

    `state` is the end of its training, or how far it came if that is not `finished`. `seconds` is the time spent
    training, None where nothing is recorded. `data_digest` is that of its data, `classes` are theirs; both are empty
    before its first step. `recipe` has the augmentations that take effect on the data in place of `from_data`, where
    the data are known.
    """

    name: str
    run: Run
    plan: Plan
    recipe: Recipe
    history: History
    state: str
    finished: bool
    seconds: float | None
    data_digest: str
    classes: tuple[str, ...]
    evaluations: Mapping[str, Evaluation]


@dataclass(frozen=True)
class Pair:
    """Two runs on the same images; `p` is McNemar's p-value, adjusted for the number of pairs."""

    first: str
    second: str
    paired: Paired
    p: float

    @property
    def differs(self) -> bool:
        """Whether the difference is significant at 5 %."""
        return self.p < 0.05


@dataclass(frozen=True, eq=False)
class Material:
    """Runs next to each other.

    `settings` maps a dotted key to the value of each run, None where a run has no such option. `judged` is the
    evaluation by which the pairs are compared, None where no two runs have the same. `notes` are sentences on what the
    comparison cannot show.
    """

    runs: tuple[Compared, ...]
    settings: Mapping[str, tuple[Any, ...]]
    judged: str | None
    pairs: tuple[Pair, ...]
    notes: tuple[str, ...]


def read_comparison(runs: Sequence[Run]) -> Material:
    """Read the material of a comparison of `runs`.

    Raises:
        ConfigError: there are fewer than two runs or more than 8, one is named twice, or they learn different things.
        RunError: a run is damaged.
    """
    if not 2 <= len(runs) <= MOST:
        raise ConfigError(f"A comparison takes 2 to {MOST} runs; received {len(runs)}. Add or leave out some.")
    paths = [run.path.resolve() for run in runs]
    if len(set(paths)) < len(paths):
        twice = next(run for run, path in zip(runs, paths, strict=True) if paths.count(path) > 1)
        raise ConfigError(f"The runs of a comparison must differ; received {twice.path} twice. Leave one of them out.")
    alike = len({run.name for run in runs}) < len(runs)
    found = tuple(_read(run, str(run.path) if alike else run.name) for run in runs)
    _check_alike(found)
    judged = next((name for name in JUDGED if sum(name in each.evaluations for each in found) > 1), None)
    pairs = () if judged is None else _pairs(found, judged)
    return Material(found, _settings(found), judged, pairs, tuple(_notes(found, judged, pairs)))


def _read(run: Run, name: str) -> Compared:
    plan = Plan.read(run)
    events = read_events(run.events_file) if run.events_file.exists() else []
    started = next((event for event in events if "data_sha256" in event), {})
    reason = next((event["reason"] for event in events if event["event"] == "finished"), None)
    seconds = max((event.get("wall", {}).get("seconds", 0.0) for event in events), default=0.0)
    evaluations = {each: Evaluation.read(run, each) for each in (*SPLITS, FOLDS)}
    return Compared(
        name=name,
        run=run,
        plan=plan,
        recipe=_in_effect(plan.recipe, started),
        history=read_history(events),
        finished=reason is not None,
        state=reason or f"unfinished: {plan.recipe.epochs.position(last_clock(events))}",
        seconds=seconds or None,
        data_digest=started.get("data_sha256", ""),
        classes=tuple(started.get("classes", ())),
        evaluations={name: found for name, found in evaluations.items() if found is not None},
    )


def _in_effect(recipe: Recipe, started: Mapping[str, Any]) -> Recipe:
    if "input" not in started:
        return recipe
    spec = from_json(InputSpec, started["input"])
    return replace(recipe, augmentation=augmentations_in_effect(recipe.augmentation, spec, started["classes"]))


def _check_alike(runs: Sequence[Compared]) -> None:
    first = runs[0]
    for other in runs[1:]:
        tasks = first.plan.recipe.task.name, other.plan.recipe.task.name
        if tasks[0] != tasks[1]:
            raise ConfigError(
                f"Compared runs must have the same task; {first.name} has {tasks[0]}, {other.name} has {tasks[1]}."
            )
        if first.classes and other.classes and not set(first.classes) & set(other.classes):
            raise ConfigError(
                f"Compared runs must have classes in common; {first.name} has {_listed(first.classes)}, and "
                f"{other.name} has {_listed(other.classes)}."
            )


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (" …" if len(names) > 3 else "")


def _settings(runs: Sequence[Compared]) -> dict[str, tuple[Any, ...]]:
    """Return the settings in which any run differs from the first."""
    base = runs[0].recipe
    keys = dict.fromkeys(key for each in runs[1:] for key in difference(each.recipe, base))
    values = [dotted(each.recipe) for each in runs]
    data = tuple(each.plan.data for each in runs)
    return ({"data": data} if len(set(data)) > 1 else {}) | {key: tuple(v.get(key) for v in values) for key in keys}


def _pairs(runs: Sequence[Compared], judged: str) -> tuple[Pair, ...]:
    found = []
    for one, other in itertools.combinations([each for each in runs if judged in each.evaluations], 2):
        paired = _paired(one, other, judged)
        if paired is not None:
            found.append((one.name, other.name, paired))
    adjusted = holm([paired.p for _, _, paired in found])
    return tuple(Pair(one, other, paired, p) for (one, other, paired), p in zip(found, adjusted, strict=True))


def _paired(one: Compared, other: Compared, judged: str) -> Paired | None:
    """Pair the answers to the same images with the same label; None if the runs share none.

    With equal data an image is known by its index, else with data of one name by its own name.
    """
    first, second = one.evaluations[judged], other.evaluations[judged]
    if not isinstance(first.rows, Rows) or not isinstance(second.rows, Rows):
        return None
    equal = bool(one.data_digest) and one.data_digest == other.data_digest
    if not equal and first.data != second.data:
        return None
    answers = [
        dict(
            zip(each.rows.index.tolist() if equal else each.names, zip(_labels(each), right, strict=True), strict=True)
        )
        for each, right in ((first, first.rows.right.tolist()), (second, second.rows.right.tolist()))
    ]
    shared = [key for key, (label, _) in answers[0].items() if key in answers[1] and answers[1][key][0] == label]
    if not shared:
        return None
    masks = [np.array([each[key][1] for key in shared]) for each in answers]
    return Paired.of(masks[0], masks[1])


def _labels(evaluation: Evaluation) -> list[str]:
    assert isinstance(evaluation.rows, Rows)
    return [evaluation.scores.classes[target] for target in evaluation.rows.targets.tolist()]


def _notes(runs: Sequence[Compared], judged: str | None, pairs: Sequence[Pair]) -> list[str]:
    notes = []
    scored = [each for each in runs if judged is not None and judged in each.evaluations]
    missing = [each for each in runs if each not in scored]
    if missing:
        these = "this evaluation" if judged else "an evaluation that another has, too"
        stopped = not all(each.finished for each in missing)
        remedy = " 'striate finish RUN' evaluates a run that was stopped." if stopped else ""
        notes.append(f"Without {these}: {', '.join(each.name for each in missing)}.{remedy}")
    if len({each.classes for each in runs if each.classes}) > 1:
        notes.append("The runs have different classes, so their accuracies are of different tasks.")
    if scored and isinstance(scored[0].evaluations[str(judged)].scores, ClassificationScores):
        whole = len(scored) * (len(scored) - 1) // 2
        if len(pairs) < whole:
            notes.append("Runs that were evaluated on different images are not tested against each other.")
        counts = {each.evaluations[str(judged)].scores.count for each in scored}
        if any({pair.paired.count} != counts for pair in pairs):
            notes.append("Where two runs share a part of their images, the pair is compared on that part.")
    if judged == "val":
        notes.append("Validation images may have chosen the weights, so these accuracies are optimistic.")
    if pairs:
        notes.append(
            "The test is about these images and these weights. Another seed may change more than a setting does: "
            "train each setting with several seeds before you conclude."
        )
    return notes
