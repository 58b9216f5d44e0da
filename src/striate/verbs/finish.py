"""End a training where it was stopped."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING

from striate.core.progress import silent
from striate.verbs._trained import path_of
from striate.verbs._verb import training

if TYPE_CHECKING:
    from striate.core.progress import Progress
    from striate.data.loading.own_loaders import Loaders
    from striate.runs.events import RunFinished
    from striate.runs.folder import Run


@training
def finish(
    run: str | Path | Run, /, *, loaders: Loaders | None = None, progress: Progress | None = None
) -> Generator[RunFinished, None, Run]:
    """End a run that was stopped, killed or crashed where it stands, without further training.

    The best weights so far are calibrated and evaluated, and the classifier and the report are written, as at the end
    of a complete training. Images that cannot be read any more are left out and named. 'striate resume' can still
    resume the run afterwards, exactly.

    Example:
        run = striate.finish("runs/photos")

    Args:
        run: the run's folder.
        loaders: the loaders, if the run was trained on loaders; they are not stored.
        progress: called as progress(stage, done, total); by default a bar on a terminal or in a notebook.

    Raises:
        RunError: there is no such run, it is busy, or it has not made a step yet.
        DataError: none of its images can be read.
    """
    from striate.reporting.build import write_run_report
    from striate.runs.folder import open_run
    from striate.runs.resume import finish_run

    opened = open_run(path_of(run))
    yield finish_run(opened, loaders=loaders, progress=progress or silent)
    write_run_report(opened)
    return opened
