"""The diagnosis of a run from what it recorded: its events, the measurements of its layers, and its scores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from striate.core.errors import ConfigError
from striate.core.proportion import Proportion
from striate.diagnosing import History, Judgement, Measurement, judge, last_clock, read_history
from striate.metrics import ClassificationScores
from striate.runs.evaluate import Evaluation
from striate.runs.folder import Run
from striate.runs.health import read_measurements
from striate.runs.plan import Plan
from striate.runs.transfer import Features
from striate.training import read_events


@dataclass(frozen=True, eq=False)
class RunDiagnosis:
    """The record of a run's training, and the judgement on it."""

    history: History
    measurements: tuple[Measurement, ...]
    judgement: Judgement


def diagnose_run(run: Run) -> RunDiagnosis:
    """Judge the training of `run`, complete or not.

    Raises:
        ConfigError: the run is a linear classifier on features, which was not trained in steps.
        RunError: the run is damaged.
    """
    recipe = Plan.read(run).recipe
    if isinstance(recipe.transfer, Features):
        raise ConfigError(
            f"{run.path} is a linear classifier on features, which is fitted at once, so there is no training to "
            f"diagnose. Its report says what to try next: striate report {run.argument}"
        )
    events = read_events(run.events_file) if run.events_file.exists() else []
    history, measurements = read_history(events), read_measurements(run.health_file)
    over = any(event["event"] == "finished" for event in events)
    scores = {split: found.scores for split in ("train", "val", "test") if (found := Evaluation.read(run, split))}
    judgement = judge(
        history,
        measurements,
        share=1.0 if over else min(1.0, recipe.epochs.progress(last_clock(events))),
        seen=_accuracy(scores, "train") if over else None,
        unseen=(_accuracy(scores, "test") or _accuracy(scores, "val")) if over else None,
    )
    return RunDiagnosis(history, measurements, judgement)


def _accuracy(scores: Mapping[str, Any], split: str) -> Proportion | None:
    found = scores.get(split)
    return found.top1 if isinstance(found, ClassificationScores) else None
