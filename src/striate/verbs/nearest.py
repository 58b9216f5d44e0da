"""Find the training images that are most like an image."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from striate.core.errors import ConfigError, DataError
from striate.verbs._images import expand
from striate.verbs._trained import classifier_of, folder_of, own_data, run_of
from striate.verbs._verb import verb

if TYPE_CHECKING:
    from numpy import ndarray

    from striate.classifier import Classifier, Failure
    from striate.data.dataset import Dataset
    from striate.reporting.sheets.neighbours import Neighbour, Neighbourhood
    from striate.reporting.sheets.output_folder import Folder
    from striate.runs.folder import Run
    from striate.runs.stage import Progress


@dataclass(frozen=True, eq=False)
class Nearest:
    """The training images nearest to one image, and the `sheet` that shows them."""

    found: Neighbourhood
    sheet: Path

    @property
    def name(self) -> str:
        """The name of the image."""
        return self.found.prediction.name

    @property
    def neighbours(self) -> tuple[Neighbour, ...]:
        """The training images, the nearest first: each with its name, class and similarity."""
        return self.found.neighbours

    def __repr__(self) -> str:
        first = self.neighbours[0]
        return f"Nearest({Path(self.name).name!r}: {Path(first.name).name!r}, {first.label}, {first.similarity:.3f}, …)"


@verb
def nearest(
    run: str | Path | Run,
    /,
    *images: str | Path,
    count: int = 8,
    out: str | Path | None = None,
    device: str = "auto",
) -> Generator[Progress | Nearest | Failure, None, list[Nearest | Failure]]:
    """Find the training images that a network takes to be most like an image.

    Two images are alike where the features that the last layer is given point the same way: the similarity is the
    cosine between them, at most 1. Every image of the run's training split is compared. A sheet for each image shows
    it beside its nearest training images.

    Example:
        striate.nearest("runs/photos", "holiday/beach.jpg", count=5)

    Args:
        run: the run's folder; its data must still be there.
        images: files, folders (every image in them), patterns in quotes, or - for a list on standard input.
        count: how many training images to find for each image.
        out: the folder for the sheets; 'nearest' within the run when not given.
        device: auto (the fastest here), cpu, cuda, cuda:1 or mps.

    Raises:
        ConfigError: the count is less than 1, or this is a classifier without its run.
        DataError: the training images are no longer there, or a folder or pattern holds no image.
        PlaceError: the network has no last layer whose input can be read.
        RunError: there is no classifier, or it is damaged.
    """
    if count < 1:
        raise ConfigError(f"At least 1 training image is looked for; received a count of {count}.")

    from striate.classifier import Failure
    from striate.data.images.decode import Unreadable
    from striate.reporting.sheets.input_image import Subject, look_at
    from striate.reporting.sheets.neighbours import find_neighbours
    from striate.reporting.sheets.output_folder import Folder
    from striate.runs.stage import watched

    classifier = classifier_of(run, device)
    source = own_data(run)
    looked: list[Subject | Failure] = []
    for path in expand(images):
        try:
            looked.append(look_at(classifier, path))
        except Unreadable as error:
            looked.append(Failure(str(path), error.why))
    subjects = [one for one in looked if isinstance(one, Subject)]
    found: tuple[Neighbourhood, ...] = ()
    if subjects:
        dataset, indices = yield from _training_images(run, source, classifier)
        found = yield from watched(
            "comparing with the training images",
            lambda progress: find_neighbours(classifier, subjects, dataset, indices, count=count, progress=progress),
        )
    folder = Folder((folder_of(run) or Path()) / "nearest" if out is None else Path(out))
    neighbourhoods = iter(found)
    results: list[Nearest | Failure] = []
    for one in looked:
        result = one if isinstance(one, Failure) else _written(next(neighbourhoods), folder)
        results.append(result)
        yield result
    return results


def _training_images(
    run: str | Path | Run, source: str, classifier: Classifier
) -> Generator[Progress, None, tuple[Dataset, ndarray]]:
    """The data of a run, and the indices of those images that it was trained on."""
    import numpy as np

    from striate.data.audit.audit import audit
    from striate.data.sources.opening import open_data
    from striate.runs.evaluate import matched
    from striate.runs.images import own_parts
    from striate.runs.stage import watched

    dataset, known, _ = matched(open_data(source, minimum_classes=1), classifier.labels)
    audited = yield from watched(
        "looking through the images",
        lambda progress: audit(dataset, channels=classifier.input.channels, progress=progress),
    )
    its_run = run_of(run)
    parts = audited.parts if its_run is None else own_parts(its_run, dataset, audited)
    indices = np.intersect1d(parts["train"], known)
    if not len(indices):
        raise DataError(f"{source} has none of the images that the run was trained on: put them back.")
    return dataset, indices


def _written(found: Neighbourhood, folder: Folder) -> Nearest:
    from striate.plot import figure_png
    from striate.reporting.sheets.neighbours import neighbours_sheet
    from striate.reporting.sheets.output_folder import stem_of

    stem = stem_of(Path(found.prediction.name), "nearest")
    return Nearest(found, folder.write(stem, ".png", figure_png(neighbours_sheet(found))))
