"""Cluster the maps of each class, which uncovers shortcuts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from striate.core.errors import ConfigError
from striate.core.progress import silent
from striate.reporting.sheets.results import SheetResult, file_stem, file_stems
from striate.verbs._trained import classifier_of, folder_of, training_images
from striate.verbs._verb import with_progress

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure

    from striate.core.progress import Progress
    from striate.reporting.sheets.clusters import ClassClusters
    from striate.runs.folder import Run

_FEWEST = 4  # images of a class


@dataclass(frozen=True, eq=False, repr=False)
class Clusters(SheetResult):
    """The clusters of the maps of one class, the largest first, and the `sheet` that shows them.

    In a notebook the sheet is displayed. `save` writes it, `show` opens it.
    """

    found: ClassClusters
    sheet: Path | None = None

    @property
    def label(self) -> str:
        """The class."""
        return self.found.label

    @property
    def clusters(self) -> tuple[tuple[str, ...], ...]:
        """The names of the images of each cluster."""
        return tuple(tuple(self.found.names[one] for one in members) for members in self.found.found.clusters)

    @property
    def alike(self) -> np.ndarray:
        """The similarity of the maps within each cluster: their mean cosine, at most 1."""
        return self.found.found.alike

    def figure(self) -> Figure:
        """Draw the sheet as a figure of Matplotlib."""
        from striate.reporting.sheets.clusters import clusters_sheet

        return clusters_sheet(self.found)

    def __repr__(self) -> str:
        told = ", ".join(f"{len(names)} ({alike:.2f})" for names, alike in zip(self.clusters, self.alike, strict=True))
        return f"Clusters({self.label!r}: {told})"


@with_progress
def clusters(
    run: str | Path | Run,
    /,
    *,
    target: str | int | None = None,
    method: str | None = None,
    at: str | None = None,
    images: int = 200,
    out: str | Path | None = None,
    device: str = "auto",
    progress: Progress | None = None,
    on_result: Callable[[Clusters], None] | None = None,
) -> list[Clusters]:
    """Cluster the maps of the training images of each class, to uncover shortcuts.

    Images of a class that the network recognizes in the same way have maps that are alike. A cluster in which it always
    looks at one place that is not the object, such as a watermark, is a shortcut. A sheet for each class shows every
    cluster by its mean map and its most typical images.

    Example:
        striate.clusters("runs/photos", target="horse")

    Args:
        run: the run's folder; its data must still be there.
        target: only this class: its name, or its number from 0; by default every class of at least 4 training images.
        method: the method that makes the maps; grad-cam by default, saliency for a network without maps.
        at: the place in the network that the method reads, as in stage3; by default the last map before pooling.
        images: how many training images of each class to use, evenly spaced.
        out: the folder for the sheets; by default 'clusters' within the run.
        device: auto (the fastest here), cpu, cuda, cuda:1 or mps.
        progress: called as progress(stage, done, total); by default a bar on a terminal or in a notebook.
        on_result: called with each result as soon as it is there.

    Raises:
        ConfigError: there is no such class or method, or the class has fewer than 4 training images.
        DataError: the training images are no longer there.
        PlaceError: the network has no such place.
        RunError: there is no classifier, or it is damaged.
    """
    if images < _FEWEST:
        raise ConfigError(f"Clusters need at least {_FEWEST} images of a class; received {images}.")

    from striate.data.split import evenly_spaced
    from striate.reporting.sheets.clusters import find_clusters
    from striate.reporting.sheets.explanation import method_named
    from striate.reporting.sheets.input_image import class_number

    report = progress or silent
    classifier = classifier_of(run, device)
    wanted = None if method is None else method_named(method)
    names = classifier.labels.classes
    labels = names if target is None else (names[class_number(names, target)],)
    dataset, indices = training_images(run, classifier, report)
    of_class = {label: indices[dataset.having(dataset.classes.index(label))[indices]] for label in labels
                if label in dataset.classes}  # fmt: skip
    chosen = {label: own for label, own in of_class.items() if len(own) >= _FEWEST}
    if not chosen:
        names = ", ".join(labels)
        raise ConfigError(f"Clusters need at least {_FEWEST} training images of a class; there are fewer of {names}.")
    folder = (folder_of(run) or Path()) / "clusters" if out is None else Path(out)
    stems = dict(zip(classifier.labels.classes, file_stems(classifier.labels.classes), strict=True))
    results = []
    for number, (label, own) in enumerate(chosen.items()):
        found = Clusters(find_clusters(classifier, dataset, evenly_spaced(own, images), label, wanted, at))
        stem = file_stem(stems[label], found.found.method.name, f"at {at}" if at else None)
        results.append(replace(found, sheet=found.save(folder / f"{stem}.png")))
        report("clustering maps", number + 1, len(chosen))
        if on_result is not None:
            on_result(results[-1])
    return results
