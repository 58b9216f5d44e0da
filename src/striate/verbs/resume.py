"""Go on with a training that was stopped, killed or crashed."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING

from striate.verbs._trained import path_of
from striate.verbs._verb import verb

if TYPE_CHECKING:
    from striate.data.own_loaders import Loaders
    from striate.recipes.execute import RunEvent
    from striate.recipes.folder import Run


@verb
def resume(
    run: str | Path | Run, /, *, inexact: bool = False, loaders: Loaders | None = None
) -> Generator[RunEvent, None, Run]:
    """Go on with a run that was stopped, killed or crashed, from its last good checkpoint.

    The result is bit for bit that of a run that was never stopped, on the same kind of machine with the same versions.
    Elsewhere the differences are named, and it goes on only with --inexact. A run that is complete is not trained any
    further, only judged and reported anew.

    Example:
        run = striate.resume("runs/photos")

    Args:
        run: the run's folder.
        inexact: go on although machine or versions differ from those of the start.
        loaders: the loaders that the run was trained on, if it was: they are not stored.

    Raises:
        RunError: there is no such run, it is busy, or going on would not be exact.
    """
    from striate.recipes.execute import go_on
    from striate.recipes.folder import open_run
    from striate.reporting import write_run_report

    opened = open_run(path_of(run))
    yield from go_on(opened, inexact=inexact, loaders=loaders)
    write_run_report(opened)
    return opened
