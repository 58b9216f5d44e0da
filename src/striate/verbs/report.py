"""Write the report of a run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from striate.core.arguments import checked
from striate.verbs._trained import path_of

if TYPE_CHECKING:
    from striate.runs.folder import Run


@checked
def report(run: str | Path | Run, /) -> Path:
    """Write the report of a run again, as one HTML file that opens offline, and return its path.

    Example:
        striate.report("runs/photos")

    Args:
        run: the run's folder.

    Raises:
        RunError: there is no such run, or it has not been evaluated yet.
    """
    from striate.reporting.build import write_run_report
    from striate.runs.folder import open_run

    return write_run_report(open_run(path_of(run)))
