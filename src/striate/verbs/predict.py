"""Classify images with a trained run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from striate.core.arguments import checked
from striate.verbs._images import named
from striate.verbs._trained import in_runtime, leading_runs, predictor_of, together

if TYPE_CHECKING:
    from striate.classifier import Classifier, Ensemble, Failure, Prediction
    from striate.classifier.images import Images
    from striate.data.views import Views
    from striate.runs.folder import Run


@checked
def predict(
    run: str | Path | Run | Classifier | Ensemble | Sequence[str | Path | Run | Classifier],
    /,
    *images: str | Path | Images,
    views: str | Views = "",
    weights: str | Path | None = None,
    device: str = "auto",
    runtime: str = "auto",
    coverage: float | None = None,
    on_start: Callable[[Classifier | Ensemble], None] | None = None,
    on_result: Callable[[Prediction | Failure], None] | None = None,
) -> list[Prediction | Failure]:
    """Classify images with the classifier of a run, or of several runs together.

    A classifier that was trained on files also recognises images of none of its classes, from 19 validation images on.

    Several runs of the same classes answer as an ensemble: their probabilities are averaged. With views, the
    probabilities of several views of each image are averaged (test-time augmentation).

    Example:
        striate.predict("runs/photos", "holiday/beach.jpg")

    Args:
        run: the run's folder, a classifier's folder that was copied out of it, or the name of a network that has
            pretrained weights, as in efficientnet_lite0. In Python also a list of runs.
        images: files, folders (every image in them), tar shards, patterns in quotes, or - for a list on standard input;
            before them further runs. In Python also PIL images, arrays, tensors and the bytes of files, as in
            `Classifier.predict`, and lists of them.
        views: views whose answers are averaged, in order: flip, shift (by pixels), scale (by a fraction), crops (five),
            sizes (three); as in 'shift=1,flip'.
        weights: the pretrained weights of the network that is named in place of a run: a file, a name of the catalogue
            ('striate list-models --weights'), or a repository of the Hugging Face hub, as in timm/resnet50.a1_in1k.
        device: auto (the fastest here), cpu, cuda, cuda:1 or mps.
        runtime: auto, the one that 'striate export RUN --for cpu' has chosen on this machine, for one run, otherwise
            torch; or torch.
        coverage: also list the classes that include the true one with this probability, as in 0.95.
        on_start: called with the classifier before the first image.
        on_result: called with each result as soon as it is there.

    Raises:
        ConfigError: this machine has no such device, the classifier has too few held-out images for the coverage, there
            are no such views, or several runs differ in their classes.
        DataError: a folder, a pattern or the list holds no image.
        ModelError: there are no such pretrained weights, or they do not fit the network.
        RunError: there is no classifier, or it is damaged.
    """
    count = leading_runs(images)
    runs = together(run, images[:count])
    classifier = in_runtime(predictor_of(runs, device, weights=weights), runs[0], runtime)
    if on_start is not None:
        on_start(classifier)
    results: list[Prediction | Failure] = []
    given = [image for _, image in named(images[count:])]
    for result in classifier.predictions(given, coverage=coverage, views=views):
        results.append(result)
        if on_result is not None:
            on_result(result)
    return results
