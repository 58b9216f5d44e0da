"""Classify images with a trained run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from striate.core.errors import ConfigError
from striate.core.files import expanded
from striate.core.progress import silent
from striate.verbs._images import identities, listed, named, names_listed
from striate.verbs._trained import in_runtime, leading_runs, predictor_of, together
from striate.verbs._verb import with_progress

if TYPE_CHECKING:
    from striate.classifier import Classifier, Ensemble, Failure, Prediction
    from striate.classifier.images import Images
    from striate.core.progress import Progress
    from striate.data.views import Views
    from striate.predicting import Written
    from striate.runs.folder import Run


@overload
def predict(
    run: str | Path | Run | Classifier | Ensemble | Sequence[str | Path | Run | Classifier],
    /,
    *images: str | Path | Images,
    views: str | Views = "",
    weights: str | Path | None = None,
    device: str = "auto",
    runtime: str = "auto",
    coverage: float | None = None,
    out: None = None,
    on_start: Callable[[Classifier | Ensemble], None] | None = None,
    on_result: Callable[[Prediction | Failure], None] | None = None,
) -> list[Prediction | Failure]: ...
@overload
def predict(
    run: str | Path | Run | Classifier | Ensemble | Sequence[str | Path | Run | Classifier],
    /,
    *images: str | Path,
    views: str | Views = "",
    weights: str | Path | None = None,
    device: str = "auto",
    runtime: str = "auto",
    coverage: float | None = None,
    out: str | Path,
    cluster: str | None = None,
    workers: int | None = None,
    on_start: Callable[[Classifier | Ensemble], None] | None = None,
    progress: Progress | None = None,
) -> Written: ...
@with_progress
def predict(
    run: str | Path | Run | Classifier | Ensemble | Sequence[str | Path | Run | Classifier],
    /,
    *images: str | Path | Images,
    views: str | Views = "",
    weights: str | Path | None = None,
    device: str = "auto",
    runtime: str = "auto",
    coverage: float | None = None,
    out: str | Path | None = None,
    cluster: str | None = None,
    workers: int | None = None,
    on_start: Callable[[Classifier | Ensemble], None] | None = None,
    on_result: Callable[[Prediction | Failure], None] | None = None,
    progress: Progress | None = None,
) -> list[Prediction | Failure] | Written:
    """Classify images with the classifier of a run, or of several runs together.

    A classifier that was trained on files also recognises images of none of its classes, from 19 validation images on.

    Several runs of the same classes answer as an ensemble: their probabilities are averaged. With views, the
    probabilities of several views of each image are averaged (test-time augmentation).

    With out, predictions for any number of images are written to a file, a row for each image, in bounded memory. What
    is done is kept in a folder beside it, FILE.unfinished: after a kill, the same command continues. On a cluster of
    Ray, workers share the images.

    Example:
        striate.predict("runs/photos", "holiday/beach.jpg")

    Args:
        run: the run's folder, a classifier's folder that was copied out of it, or the name of a network that has
            pretrained weights, as in efficientnet_lite0. In Python also a list of runs.
        images: files, folders (every image in them), tar shards, patterns in quotes, or - for a list on standard input;
            before them further runs. With out also buckets, as in s3://photos/2026/ (by fsspec and its library for
            them). In Python also PIL images, arrays, tensors and the bytes of files, as in `Classifier.predict`, and
            lists of them.
        views: views whose answers are averaged, in order: flip, shift (by pixels), scale (by a fraction), crops (five),
            sizes (three); as in 'shift=1,flip'.
        weights: the pretrained weights of the network that is named in place of a run: a file, a name of the catalogue
            ('striate list-models --weights'), or a repository of the Hugging Face hub, as in timm/resnet50.a1_in1k.
        device: auto (the fastest here), cpu, cuda, cuda:1 or mps.
        runtime: auto, the one that 'striate export RUN --for cpu' has chosen on this machine, for one run without
            views, otherwise torch; or torch.
        coverage: also list the classes that include the true one with this probability, as in 0.95.
        out: the file to write: .parquet (by pyarrow, an extra) or .jsonl with the probability of every class, or .csv;
            images that cannot be read are rows with the reason.
        cluster: predict on a cluster of Ray (an extra), with out: local starts one on this machine, auto joins the one
            of this machine, and HOST:PORT another one. There, torch computes.
        workers: how many workers of the cluster load the classifier; by default one for each GPU, or for each processor
            where there is none.
        on_start: called with the classifier before the first image.
        on_result: called with each result as soon as it is there.
        progress: called as progress(stage, done, total), with out; by default a bar on a terminal or in a notebook.

    Raises:
        ConfigError: this machine or cluster has no such device, the classifier has too few held-out images for the
            coverage, there are no such views, several runs differ in their classes, the file has another suffix, or a
            library is missing.
        DataError: a folder, a pattern or the list holds no image.
        ModelError: there are no such pretrained weights, or they do not fit the network.
        RunError: there is no classifier, or it is damaged; the file exists or cannot be written, another process is
            writing it, or the cluster cannot be reached.
    """
    count = leading_runs(images)
    if out is not None and on_result is not None:
        raise ConfigError("With out, predictions go to the file alone: leave on_result (--csv) out.")
    if out is None and (cluster or workers) is not None:
        raise ConfigError("A cluster writes its predictions to a file. Name one, as in --out predictions.parquet.")
    if workers is not None and (cluster is None or workers < 1):
        raise ConfigError(f"workers is the number of those of a cluster, at least 1; received {workers}.")
    runs = together(run, images[:count])
    # Each worker of a cluster has a device of its own, and runtimes are chosen for this machine; torch computes views.
    classifier = predictor_of(runs, "cpu" if cluster else device, weights=weights)
    classifier = in_runtime(classifier, runs[0], "torch" if runtime == "auto" and (cluster or views) else runtime)
    if on_start is not None:
        on_start(classifier)
    if out is not None:
        given = _files(images[count:])
        place = None if cluster is None else (cluster, workers, device)
        return _written(classifier, Path(out), given, coverage, views, place, progress or silent)
    results: list[Prediction | Failure] = []
    names: list[str | None] = []  # of files, and of the images in shards, whose bytes have none

    def stream() -> Iterator[Any]:
        for name, image in named(images[count:]):
            names.append(name if isinstance(image, (Path, bytes)) else None)
            yield image

    for number, found in enumerate(classifier.predictions(stream(), coverage=coverage, views=views)):
        result = replace(found, name=names[number] or found.name)
        results.append(result)
        if on_result is not None:
            on_result(result)
    return results


def _files(images: Sequence[object]) -> list[str | Path]:
    """Return the images, which are files.

    Raises:
        ConfigError: one is in memory, or there is none.
    """
    files = [image for image in images if isinstance(image, (str, Path))]
    if len(files) < len(images) or not files:
        raise ConfigError(
            "Predictions in a file are of files, folders, tar shards, buckets, or - for a list on standard input; "
            f"received {'images in memory' if images else 'no image'}."
        )
    return files


def _written(
    classifier: Classifier | Ensemble,
    out: Path,
    images: Sequence[str | Path],
    coverage: float | None,
    views: str | Views,
    place: tuple[str, int | None, str] | None,
    progress: Progress,
) -> Written:
    from striate.data.sources.bucket import is_bucket
    from striate.data.sources.opening import refuse_url
    from striate.data.views import read_views, views_text
    from striate.predicting import Cluster, write_predictions

    names = names_listed() if "-" in map(str, images) else []
    for each in (*images, *names):
        if not is_bucket(each):
            refuse_url(each)
    return write_predictions(
        classifier,
        expanded(out),
        lambda: listed(images, names),
        identities(images, names),
        coverage=coverage,
        views=views_text(read_views(views)),
        cluster=None if place is None else Cluster(*place),
        progress=progress,
    )
