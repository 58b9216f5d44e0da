"""Classify pictures with a trained run."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING

from striate.verbs._images import expand
from striate.verbs._trained import classifier_of
from striate.verbs._verb import verb

if TYPE_CHECKING:
    from striate.classifier import Classifier, Failure, Prediction
    from striate.runs.folder import Run


@verb
def predict(
    run: str | Path | Run | Classifier, /, *pictures: str | Path, device: str = "auto"
) -> Generator[Prediction | Failure, None, list[Prediction | Failure]]:
    """Say what is on pictures, with the classifier of a run.

    Example:
        striate.predict("runs/photos", "holiday/beach.jpg")

    Args:
        run: the run's folder, or a classifier's that was copied out of it.
        pictures: files, folders (every picture in them), patterns in quotes, or - for a list on standard input.
        device: auto (the fastest here), cpu, cuda, cuda:1 or mps.

    Raises:
        ConfigError: this machine has no such device.
        DataError: a folder, a pattern or the list holds no picture.
        RunError: there is no classifier, or it is damaged.
    """
    classifier = classifier_of(run, device)
    results = []
    for result in classifier.predictions(list(expand(pictures))):
        results.append(result)
        yield result
    return results
