"""Write the report of a run."""

from __future__ import annotations

from os import PathLike
from pathlib import Path

from striate.verbs._trained import path_of


def report(run: str | PathLike[str], /) -> Path:
    """Write the report of a run anew, as one HTML file that opens offline, and say where it lies.

    Example:
        striate.report("runs/photos")

    Args:
        run: the run's folder.

    Raises:
        RunError: there is no such run, or it has not been judged yet.
    """
    from striate.recipes.folder import open_run
    from striate.reporting import write_run_report

    return write_run_report(open_run(path_of(run)))
