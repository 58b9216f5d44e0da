"""Classify images with a trained run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from striate.verbs._images import named
from striate.verbs._trained import classifier_of

if TYPE_CHECKING:
    from striate.classifier import Classifier, Failure, Prediction
    from striate.classifier.images import Images
    from striate.runs.folder import Run


def predict(
    run: str | Path | Run | Classifier,
    /,
    *images: str | Path | Images,
    weights: str | Path | None = None,
    device: str = "auto",
    coverage: float | None = None,
    on_result: Callable[[Prediction | Failure], None] | None = None,
) -> list[Prediction | Failure]:
    """Classify images with the classifier of a run.

    A classifier that was trained by transfer also recognises images of none of its classes.

    Example:
        striate.predict("runs/photos", "holiday/beach.jpg")

    Args:
        run: the run's folder, a classifier's folder that was copied out of it, or the name of a network that has
            pretrained weights, as in efficientnet_lite0.
        images: files, folders (every image in them), patterns in quotes, or - for a list on standard input. In Python
            also PIL images, arrays, tensors and the bytes of files, as in `Classifier.predict`, and lists of them.
        weights: the pretrained weights of the network that is named in place of a run: a file, a name of the catalogue
            ('striate list-models --weights'), or a repository of the Hugging Face hub, as in timm/resnet50.a1_in1k.
        device: auto (the fastest here), cpu, cuda, cuda:1 or mps.
        coverage: also list the classes that include the true one with this probability, as in 0.95.
        on_result: called with each result as soon as it is there.

    Raises:
        ConfigError: this machine has no such device, or the classifier has too few held-out images for the coverage.
        DataError: a folder, a pattern or the list holds no image.
        ModelError: there are no such pretrained weights, or they do not fit the network.
        RunError: there is no classifier, or it is damaged.
    """
    classifier = classifier_of(run, device, weights=weights)
    results: list[Prediction | Failure] = []
    for result in classifier.predictions([image for _, image in named(images)], coverage=coverage):
        results.append(result)
        if on_result is not None:
            on_result(result)
    return results
