"""Look inside a trained network."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING

from striate.core.errors import ConfigError, DataError
from striate.verbs._trained import classifier_of, folder_of, own_data
from striate.verbs._verb import verb

if TYPE_CHECKING:
    from striate.classifier import Classifier
    from striate.runs.folder import Run
    from striate.runs.stage import Progress


@verb
def inspect(
    run: str | Path | Run | Classifier,
    data: str | Path | None = None,
    /,
    *,
    pictures: int = 2000,
    units: int = 12,
    time: str | int | float = "60s",
    out: str | Path | None = None,
    device: str = "auto",
) -> Generator[Progress, None, Path]:
    """Look inside a trained network: its filters, its maps, and what each of its units wants to see.

    For the channels of each layer: the nine patches of the data that excite it most, with what the network saw of them,
    and a picture made for it from nothing; which channels are dead, and which say the same. For each class the picture
    that it wants. How far layer by layer the features move when the picture does. Everything goes into a folder, and
    onto one HTML page there.

    Example:
        striate.inspect("runs/photos", units=24, time="2min")

    Args:
        run: the run's folder, or a classifier's that was copied out of it.
        data: the pictures to look at, in any form that 'striate train' takes; the run's training part when not given.
        pictures: how many of them, evenly chosen.
        units: how many channels of each layer are shown.
        time: how long pictures may be made for; those that it does not suffice for are left out, and the page says so.
        out: the folder; 'inspection' within the run when not given. A former inspection there is replaced.
        device: auto (the fastest here), cpu, cuda, cuda:1 or mps.

    Raises:
        ConfigError: a number that is less than one, or no length of time.
        DataError: the data are no longer there; name others.
        RunError: there is no classifier, or it is damaged.
    """
    if pictures < 1 or units < 1:
        raise ConfigError(f"At least 1 picture and 1 unit are looked at; received {pictures} and {units}.")

    import numpy as np

    from striate.data.audit.audit import audit
    from striate.data.sources.opening import open_data
    from striate.explaining.checks.budget import Budget
    from striate.reporting.inspection.folder import is_inspection, write_inspection
    from striate.reporting.inspection.inspect import Extent, inspect_classifier
    from striate.runs.stage import watched

    extent = Extent(pictures, units, str(Budget(time)))
    classifier = classifier_of(run, device)
    title = (folder_of(run) or Path(classifier.model_name)).name
    folder = (folder_of(run) or Path()) / "inspection" if out is None else Path(out)
    if folder.exists() and not is_inspection(folder):
        raise ConfigError(f"{folder} is there already and is no inspection. Choose another folder with --out.")
    dataset = open_data(own_data(run) if data is None else data)
    found = yield from watched(
        "looking through the images",
        lambda progress: audit(dataset, channels=classifier.input.channels, progress=progress),
    )
    indices = found.parts["train"] if data is None else np.flatnonzero(found.survey.readable)
    if not len(indices):
        raise DataError(f"{dataset.name} has no picture to look at.")
    inspection = yield from inspect_classifier(classifier, dataset, indices, title, extent)
    return write_inspection(inspection, folder)
