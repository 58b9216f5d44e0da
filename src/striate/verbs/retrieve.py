"""Find the images of a data set that are most similar to an image."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from striate.core.errors import ConfigError
from striate.core.files import expanded
from striate.core.progress import silent
from striate.reporting.sheets.results import ImageResult, OutputFolder, SheetResults, stem_of
from striate.verbs._images import each, labelled_or_not, named
from striate.verbs._trained import classifier_of, folder_of, own_data, training_images
from striate.verbs._verb import with_progress

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from striate.classifier import Classifier, Failure
    from striate.classifier.images import Images
    from striate.core.progress import Progress
    from striate.explaining import ActivationGrid
    from striate.reporting.sheets.input_image import Answered
    from striate.reporting.sheets.neighbours import Neighbour, Neighbourhood
    from striate.runs.feature_file import FeatureFile
    from striate.runs.folder import Run
    from striate.runs.gallery import Gallery


@dataclass(frozen=True, eq=False, repr=False)
class Retrieved(ImageResult):
    """The images nearest to one image, and the `sheet` that shows them.

    In a notebook the sheet is displayed. `save` writes it, `show` opens it.
    """

    found: Neighbourhood
    sheet: Path | None = None

    @property
    def subject(self) -> Answered:
        """The image, as the network sees it, and the prediction."""
        return self.found.subject

    @property
    def name(self) -> str:
        """The name of the image."""
        return self.subject.prediction.name

    @property
    def neighbours(self) -> tuple[Neighbour, ...]:
        """The images found, the nearest first: each with its name, class and similarity."""
        return self.found.neighbours

    @property
    def grid(self) -> ActivationGrid | None:
        """The most similar position of the images compared for each position of the map, if patches were requested."""
        return self.found.grid

    def figure(self) -> Figure:
        """Draw the sheet as a figure of Matplotlib."""
        from striate.reporting.sheets.neighbours import neighbours_sheet

        return neighbours_sheet(self.found)

    def __repr__(self) -> str:
        first = self.neighbours[0]
        return (
            f"Retrieved({Path(self.name).name!r}: {Path(first.name).name!r}, {first.label}, {first.similarity:.3f}, …)"
        )


@with_progress
def retrieve(
    run: str | Path | Run | Classifier,
    /,
    *images: str | Path | Images,
    weights: str | Path | None = None,
    data: str | Path | None = None,
    count: int = 8,
    at: str | None = None,
    patches: bool = False,
    approximate: bool = False,
    out: str | Path | None = None,
    device: str = "auto",
    progress: Progress | None = None,
    on_result: Callable[[Retrieved | Failure], None] | None = None,
) -> SheetResults[Retrieved | Failure]:
    """Find the images of a data set that are most similar to an image for the network.

    The similarity of two images is the cosine between their inputs to the last layer, or between their features at
    another place, and at most 1. The image is compared with every image of the run's training split, or of other data,
    whose features are computed once and cached. One sheet per image shows the image and its nearest images. With
    patches, the sheet shows for each part of the image the most similar part of all images compared.

    Example:
        striate.retrieve("runs/photos", "holiday/beach.jpg", count=5)

    Args:
        run: the run's folder, a classifier's folder that was copied out of it, or the name of a network that has
            pretrained weights, as in efficientnet_lite0.
        images: files, folders (every image in them), patterns in quotes, or - for a list on standard input. In Python
            also PIL images, arrays, tensors and the bytes of files, as in `Classifier.predict`, and lists of them.
        weights: the pretrained weights of the network that is named in place of a run: a file, a name of the catalogue
            ('striate list-models --weights'), or a repository of the Hugging Face hub, as in timm/resnet50.a1_in1k.
        data: the images to compare with: data in any form that 'striate train' takes, a folder of images without
            classes, or an npz file that 'striate features' has written; by default those that the run was trained on.
        count: how many images to find for each image.
        at: the place in the network whose features are compared, as in stage3.
        patches: draw the most similar patch for each position of the map at that place, by default the last map before
            pooling.
        approximate: search by an index (usearch, an extra) that is built once and cached. It is faster where there are
            hundreds of thousands of images, and may miss some of the nearest.
        out: the folder for the sheets; by default 'retrieved' within the run, or here.
        device: auto (the fastest here), cpu, cuda, cuda:1 or mps.
        progress: called as progress(stage, done, total); by default a bar on a terminal or in a notebook.
        on_result: called with each result as soon as it is there.

    Raises:
        ConfigError: the count is less than 1, this is a classifier without its run and no data are named, or the
            features in a file are of another network.
        DataError: the images to compare with are not there, none of them can be read, or a folder or pattern holds no
            image.
        ModelError: there are no such pretrained weights, or they do not fit the network.
        PlaceError: the network has no last layer whose input can be read, or no such place.
        RunError: there is no classifier, or it is damaged.
    """
    if count < 1:
        raise ConfigError(f"count must be at least 1; received {count}.")

    from striate.classifier import Failure
    from striate.reporting.sheets.input_image import look_at
    from striate.reporting.sheets.neighbours import find_neighbours
    from striate.runs.place_features import place_features

    report = progress or silent
    classifier = classifier_of(run, device, weights=weights, progress=report)
    stored = _stored(data, at)
    if data is None:
        own_data(run)  # refuse a classifier without data before an image is read
    looked = each(named(images), lambda image, name: look_at(classifier, image, name))
    subjects = [one for one in looked if not isinstance(one, Failure)]
    found: tuple[Neighbourhood, ...] = ()
    if subjects:
        place, pooling = (stored.origin.at, stored.origin.pooling) if stored else (at, "mean")
        with place_features(classifier, place, pooling) as read:
            gallery = _gallery(run, data, stored, classifier, report)
            found = find_neighbours(
                read, subjects, gallery, count=count, patches=patches, approximate=approximate, progress=report
            )
    folder = OutputFolder((folder_of(run) or Path()) / "retrieved" if out is None else Path(out))
    neighbourhoods = iter(found)
    results: SheetResults[Retrieved | Failure] = SheetResults()
    for one in looked:
        results.append(one if isinstance(one, Failure) else _written(next(neighbourhoods), folder, at))
        if on_result is not None:
            on_result(results[-1])
    return results


def _stored(data: str | Path | None, at: str | None) -> FeatureFile | None:
    """Return the file of features that `data` names, if it is one.

    Raises:
        ConfigError: its features are of another place than `at`.
        DataError: the file is damaged.
    """
    from striate.runs.feature_file import is_features, read_features

    path = None if data is None else expanded(data)
    if path is None or path.suffix.lower() != ".npz" or not is_features(path):
        return None
    stored = read_features(path)
    if at is not None and at != stored.origin.at:
        raise ConfigError(f"{path} has features at {stored.origin.place}; received the place {at}. Leave it out.")
    return stored


def _gallery(
    run: str | Path | Run | Classifier,
    data: str | Path | None,
    stored: FeatureFile | None,
    classifier: Classifier,
    progress: Progress,
) -> Gallery:
    """Return the images to compare with: those of a file of features, of data, or of the training."""
    import numpy as np

    from striate.data.audit.index import check_readable, index_images
    from striate.runs.gallery import Gallery, gallery_of

    if stored is not None:
        return gallery_of(stored, progress)
    if data is None:
        dataset, indices = training_images(run, classifier, progress)
        return Gallery(dataset, indices, index_images(dataset, channels=classifier.input.channels).digests)
    dataset = labelled_or_not((data,), progress)
    index = index_images(dataset, channels=classifier.input.channels, progress=progress)
    check_readable(dataset, index)
    return Gallery(dataset, np.flatnonzero(index.readable), index.digests)


def _written(found: Neighbourhood, folder: OutputFolder, at: str | None) -> Retrieved:
    retrieved = Retrieved(found)
    place = None if at is None else f"at {at}"
    stem = stem_of(retrieved.name, "retrieved" if found.grid is None else "patches", place)
    return replace(retrieved, sheet=folder.write(stem, retrieved._repr_png_(), retrieved.subject))
