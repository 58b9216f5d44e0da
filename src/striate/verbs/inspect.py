"""Look inside a trained network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from striate.core.errors import ConfigError, DataError
from striate.core.progress import silent
from striate.verbs._trained import classifier_of, folder_of, own_data
from striate.verbs._verb import with_progress

if TYPE_CHECKING:
    from striate.classifier import Classifier
    from striate.core.progress import Progress
    from striate.runs.folder import Run


@with_progress
def inspect(
    run: str | Path | Run | Classifier,
    data: str | Path | None = None,
    /,
    *,
    weights: str | Path | None = None,
    images: int = 2000,
    units: int = 12,
    time: str | int | float = "60s",
    out: str | Path | None = None,
    device: str = "auto",
    progress: Progress | None = None,
) -> Path:
    """Look inside a trained network: its filters, its maps, and what excites each of its units.

    For the channels of each layer: the nine patches of the data that excite it most, projected back onto the image, and
    an image synthesised to excite it; which channels are dead, and which are redundant. For each class (of many, for
    the first 12) an image synthesised to excite it. For each layer (of many, for 12) how far its features change when
    the image is shifted, scaled or rotated. The result is a folder with one HTML page.

    Example:
        striate.inspect("runs/photos", units=24, time="2min")

    Args:
        run: the run's folder, a classifier's folder that was copied out of it, or the name of a network that has
            pretrained weights, as in efficientnet_lite0.
        data: the images to use, in any form that 'striate train' takes; by default the run's training split.
        weights: the pretrained weights of the network that is named in place of a run: a file, a name of the catalogue
            ('striate list-models --weights'), or a repository of the Hugging Face hub, as in timm/resnet50.a1_in1k.
        images: how many of them to use, evenly spaced.
        units: how many channels of each layer to show.
        time: how long to synthesise images; the page says which ones there was no time for.
        out: the folder; by default 'inspection' within the run, or here. An earlier inspection there is replaced.
        device: auto (the fastest here), cpu, cuda, cuda:1 or mps.
        progress: called as progress(stage, done, total); by default a bar on a terminal or in a notebook.

    Raises:
        ConfigError: a number is less than 1, or the time cannot be read.
        DataError: the data are no longer there, or no image of them can be read; name others.
        ModelError: there are no such pretrained weights, or they do not fit the network.
        RunError: there is no classifier, or it is damaged.
    """
    if images < 1 or units < 1:
        raise ConfigError(f"At least 1 image and 1 unit are inspected; received {images} and {units}.")

    import numpy as np

    from striate.data.audit import audit
    from striate.data.audit.index import check_readable
    from striate.data.sources.opening import open_data
    from striate.explaining.checks.budget import Budget
    from striate.reporting.inspection.folder import is_inspection, write_inspection
    from striate.reporting.inspection.inspect import InspectionBudget, inspect_classifier

    report = progress or silent
    budget = InspectionBudget(images, units, str(Budget(time)))
    classifier = classifier_of(run, device, weights=weights, progress=report)
    title = (folder_of(run) or Path(classifier.model_name)).name
    folder = (folder_of(run) or Path()) / "inspection" if out is None else Path(out)
    if folder.exists() and not is_inspection(folder):
        raise ConfigError(f"{folder} already exists and is not an inspection. Choose another folder with --out.")
    dataset = open_data(own_data(run) if data is None else data, progress=report)
    found = audit(dataset, channels=classifier.input.channels, progress=report)
    check_readable(dataset, found.index)
    indices = found.divided().splits["train"] if data is None else np.flatnonzero(found.index.readable)
    if not len(indices):
        raise DataError(f"{dataset.name} has no image to inspect.")
    inspection = inspect_classifier(classifier, dataset, indices, title, budget, progress=report)
    return write_inspection(inspection, folder)
