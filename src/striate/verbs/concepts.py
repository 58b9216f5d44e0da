"""Test whether a network uses a concept that a folder of images shows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from striate.core.errors import ConfigError, DataError
from striate.core.progress import silent
from striate.reporting.sheets.results import SheetResult, file_stem, file_stems
from striate.verbs._images import expand
from striate.verbs._trained import classifier_of, folder_of, training_images
from striate.verbs._verb import with_progress

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure

    from striate.classifier import Classifier, Failure
    from striate.core.progress import Progress
    from striate.data.dataset import Dataset
    from striate.explaining import ConceptScore
    from striate.reporting.sheets.concepts import Prepared, TestedConcepts
    from striate.runs.folder import Run


@dataclass(frozen=True, eq=False, repr=False)
class Concepts(SheetResult):
    """Concepts tested on one class, and the `sheet` that shows them. `failures` are images that could not be read.

    In a notebook the sheet is displayed. `save` writes it, `show` opens it.
    """

    found: TestedConcepts
    failures: tuple[Failure, ...] = ()
    sheet: Path | None = None

    @property
    def label(self) -> str:
        """The class."""
        return self.found.label

    @property
    def scores(self) -> tuple[ConceptScore, ...]:
        """The result for each concept: its score, whether that is significant, and how well it is recognized."""
        return self.found.scores

    def figure(self) -> Figure:
        """Draw the sheet as a figure of Matplotlib."""
        from striate.reporting.sheets.concepts import concepts_sheet

        return concepts_sheet(self.found)

    def __repr__(self) -> str:
        told = ", ".join(f"{score.concept} {score.score:.2f} (p={score.p:.2g})" for score in self.scores)
        return f"Concepts({self.label!r}: {told})"


def _of_class(dataset: Dataset, indices: np.ndarray, label: str) -> np.ndarray:
    """Return which of the images are of the class.

    Raises:
        DataError: none is.
    """
    known = label in dataset.classes
    own = dataset.having(dataset.classes.index(label))[indices] if known else indices < 0
    if not own.any():
        raise DataError(f"The training split has no image of {label!r}: choose another class.")
    return own


def _others(dataset: Dataset, label: str) -> str:
    """Name the images to which concepts are compared: those of all classes but one."""
    rest = [name for name in dataset.classes if name != label]
    return f"images of {rest[0]}" if len(rest) == 1 else "images of other classes"


@with_progress
def concepts(
    run: str | Path | Run,
    /,
    *folders: str | Path,
    target: str | int,
    at: str | None = None,
    random: str | Path | None = None,
    images: int = 100,
    out: str | Path | None = None,
    device: str = "auto",
    progress: Progress | None = None,
) -> Concepts:
    """Test whether concepts, such as stripes, influence a class: whether they raise or lower its score.

    A concept is a folder of images that have it, at least 10. TCAV is the fraction of the class's images whose score
    rises when the network's activation moves towards the concept; 0.5 is chance, and a t-test says whether it differs.

    Example:
        striate.concepts("runs/animals", "striped/", "dotted/", target="zebra", at="stage3")

    Args:
        run: the run's folder; its data must still be there.
        folders: a folder of images for each concept, with the concept's name.
        target: the class: its name, or its number from 0.
        at: the place in the network where activations are compared, as in stage3; by default the last map before
            pooling.
        random: a folder of other images, to which the concepts are compared; by default training images of other
            classes. In a network of two classes, whatever is not the other class may count for this one: give a folder
            of various images.
        images: how many training images to use, evenly spaced: of the class, and of the others.
        out: the folder for the sheet; by default 'concepts' within the run.
        device: auto (the fastest here), cpu, cuda, cuda:1 or mps.
        progress: called as progress(stage, done, total); by default a bar on a terminal or in a notebook.

    Raises:
        ConfigError: there is no such class, no folder, or two folders have the same name.
        DataError: the training images are no longer there, or a folder holds no image.
        ImageError: a concept has fewer than 10 images that can be read.
        PlaceError: the network has no such place.
        RunError: there is no classifier, or it is damaged.
    """
    names = [Path(folder).resolve().name for folder in folders]
    if not folders or len(set(names)) < len(names) or images < 1:
        raise ConfigError(
            f"Name at least one folder, each with a name of its own, and at least 1 image; received "
            f"{', '.join(names) or 'no folder'} and {images} images."
        )

    from striate.classifier import Failure
    from striate.data.images.decode import Unreadable
    from striate.reporting.sheets.concepts import prepared, try_concepts
    from striate.reporting.sheets.input_image import class_number

    report = progress or silent
    classifier = classifier_of(run, device)
    number = class_number(classifier.labels.classes, target)
    dataset, indices = training_images(run, classifier, report)
    label = classifier.labels.classes[number]
    own = _of_class(dataset, indices, label)
    unreadable: list[Unreadable] = []
    found = {
        name: prepared(classifier, list(expand((folder,))), unreadable)
        for name, folder in zip(names, folders, strict=True)
    }
    others = (
        _some(classifier, dataset, indices[~own], images)
        if random is None
        else prepared(classifier, list(expand((random,))), unreadable)
    )
    tried = try_concepts(
        classifier,
        found,
        others,
        _some(classifier, dataset, indices[own], images),
        number,
        against="random images" if random is not None else _others(dataset, label),
        at=at,
        progress=report,
    )
    folder = (folder_of(run) or Path()) / "concepts" if out is None else Path(out)
    result = Concepts(tried, tuple(Failure(error.name, error.why) for error in unreadable))
    stem = file_stem(file_stems(classifier.labels.classes)[number], *names, f"at {at}" if at else None)
    return replace(result, sheet=result.save(folder / f"{stem}.png"))


def _some(classifier: Classifier, dataset: Dataset, indices: np.ndarray, most: int) -> Prepared:
    """Return batches of at most `most` of the images `indices`, evenly spaced."""
    from striate.data.loading.loader import Loader
    from striate.data.split import evenly_spaced

    loader = Loader(dataset, evenly_spaced(indices, most), classifier.input, batch_size=32)
    return [(batch.index.tolist(), batch.images) for batch in loader.epoch(0)]
