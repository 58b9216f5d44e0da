"""Write the predictions for a long list of images to a file."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from striate.classifier import Classifier
from striate.classifier.predictor import Predictor
from striate.core.progress import Progress, silent
from striate.core.threads import usable_cores
from striate.predicting.cluster import Cluster, check_ray, predicted_on
from striate.predicting.formats import check_output
from striate.predicting.images import ListedImage
from striate.predicting.job import Job, Part, Written, run_job
from striate.predicting.local import Answering, identity, predicted


def write_predictions(
    predictor: Predictor,
    path: Path,
    listed: Callable[[], Iterable[ListedImage]],
    sources: Sequence[str],
    *,
    coverage: float | None = None,
    views: str = "",
    cluster: Cluster | None = None,
    progress: Progress = silent,
) -> Written:
    """Write a row for each image of `listed` to `path`; continue a job that was killed.

    `sources` identify the images, which are listed once: a job that continues has those that it began with. Predictions
    are computed in this process, or on a `cluster`.

    Raises:
        ConfigError: the file has another suffix, a library is missing, the cluster has no such device, or the
            classifier has no such coverage or views.
        DataError: there is no image.
        RunError: the file exists, the disk is full, the folder of the job holds another one, a bucket or the cluster
            cannot be reached. Another process writing the file is a BusyError.
    """
    form = check_output(path)
    if cluster is not None:
        check_ray()
    how = Answering(path.suffix.lower(), coverage, views)
    next(predictor.predictions((), coverage=coverage, views=views), None)  # refuses what it cannot do

    def work(job: Job) -> Iterable[Part]:
        if cluster is not None:
            return predicted_on(cluster, predictor, job, how, progress)
        return predicted(predictor, job.pending(), how, threads=usable_cores())

    execution = predictor.execution if isinstance(predictor, Classifier) else None
    about = {
        "classifier": identity(predictor),
        "runtime": "torch" if cluster or execution is None else execution.identity,
        "images": list(sources),
        "views": views,
        "coverage": coverage,
    }
    return run_job(path, form, about, listed, work, progress)
