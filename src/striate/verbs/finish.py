"""End a training where it was stopped."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING

from striate.verbs._trained import path_of
from striate.verbs._verb import verb

if TYPE_CHECKING:
    from striate.data.loading.own_loaders import Loaders
    from striate.runs.events import RunFinished
    from striate.runs.folder import Run
    from striate.runs.stage import Progress


@verb
def finish(run: str | Path | Run, /, *, loaders: Loaders | None = None) -> Generator[Progress | RunFinished, None, Run]:
    """End a run that was stopped, killed or crashed where it stands, without training any further.

    The best weights so far are calibrated and judged, and the classifier and the report are written, as at the end of a
    training that ran through. Images that cannot be read any more are left out and named. 'striate resume' can still go
    on afterwards, exactly.

    Example:
        run = striate.finish("runs/photos")

    Args:
        run: the run's folder.
        loaders: the loaders that the run was trained on, if it was: they are not stored.

    Raises:
        RunError: there is no such run, it is busy, or it has not made a step yet.
        DataError: none of its images can be read.
    """
    from striate.reporting import write_run_report
    from striate.runs.continuing import finish_run
    from striate.runs.folder import open_run

    opened = open_run(path_of(run))
    yield from finish_run(opened, loaders=loaders)
    write_run_report(opened)
    return opened
