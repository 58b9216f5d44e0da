"""Resume a training that was stopped, killed or crashed."""

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
    from striate.runs.events import RunEvent
    from striate.runs.folder import Run


@training
def resume(
    run: str | Path | Run,
    /,
    *,
    epochs: str | int | None = None,
    inexact: bool = False,
    loaders: Loaders | None = None,
    progress: Progress | None = None,
) -> Generator[RunEvent, None, Run]:
    """Resume a run that was stopped, killed or crashed, from its last good checkpoint.

    The result is bit for bit that of a run that was never stopped, on the same kind of machine with the same versions.
    On other machines or versions, and where settings or images changed, the differences are named and the run resumes
    only with --inexact. A complete run is evaluated and reported again without further training, unless its end
    changes.

    Example:
        run = striate.resume("runs/photos")

    Args:
        run: the run's folder.
        epochs: train until another end than the recipe's: 100 or 100ep (epochs in all), 5000st, 10min. The run prints
            the consequence: a schedule that depends on the end changes its course.
        inexact: resume although the machine, versions, settings or images are not those of the start; the differences
            are printed and recorded.
        loaders: the loaders, if the run was trained on loaders; they are not stored.
        progress: called as progress(stage, done, total); by default a bar on a terminal or in a notebook.

    Raises:
        RunError: there is no such run, it is busy, it is past the end asked for, or resuming would not be exact.
    """
    from striate.core.processes import processes
    from striate.reporting.build import write_run_report
    from striate.runs.folder import open_run
    from striate.runs.resume import resume_run

    opened = open_run(path_of(run))
    yield from resume_run(opened, inexact=inexact, epochs=epochs, loaders=loaders, progress=progress or silent)
    processes().once(lambda: write_run_report(opened))
    return opened
