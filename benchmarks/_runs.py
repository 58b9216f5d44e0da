"""Whole trainings that a benchmark keeps, so that it continues where it was stopped."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import striate
from striate.runs.folder import Run
from striate.training import read_events


def trained(folder: Path, name: str, data: str | Path, *, recipe: str, **options: Any) -> Run:
    """Return the run `name` in `folder`: trained now, resumed where it was stopped, or as it is if it has ended."""
    run = Run(folder / name)
    if not run.path.exists():
        return striate.train(data, recipe=recipe, name=name, runs=folder, **options)
    return run if (run.classifier_folder / "classifier.json").exists() else striate.resume(run)


def training_seconds(run: Run) -> float:
    """Return the seconds that the training of a run took, evaluations and earlier sessions included."""
    ends: list[Mapping[str, Any]] = [event for event in read_events(run.events_file) if event["event"] == "finished"]
    return float(ends[-1]["wall"]["seconds"])
