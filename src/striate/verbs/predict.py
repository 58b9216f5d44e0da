"""Classify images with a trained run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from striate.verbs._images import expand
from striate.verbs._trained import classifier_of

if TYPE_CHECKING:
    from striate.classifier import Classifier, Failure, Prediction
    from striate.runs.folder import Run


def predict(
    run: str | Path | Run | Classifier,
    /,
    *images: str | Path,
    device: str = "auto",
    on_result: Callable[[Prediction | Failure], None] | None = None,
) -> list[Prediction | Failure]:
    """Classify images with the classifier of a run.

    Example:
        striate.predict("runs/photos", "holiday/beach.jpg")

    Args:
        run: the run's folder, or a classifier's folder that was copied out of it.
        images: files, folders (every image in them), patterns in quotes, or - for a list on standard input.
        device: auto (the fastest here), cpu, cuda, cuda:1 or mps.
        on_result: called with each result as soon as it is there.

    Raises:
        ConfigError: this machine has no such device.
        DataError: a folder, a pattern or the list holds no image.
        RunError: there is no classifier, or it is damaged.
    """
    classifier = classifier_of(run, device)
    results: list[Prediction | Failure] = []
    for result in classifier.predictions(list(expand(images))):
        results.append(result)
        if on_result is not None:
            on_result(result)
    return results
