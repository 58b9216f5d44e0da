"""The events of a run, for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from striate.core.arguments import checked
from striate.verbs._trained import path_of

if TYPE_CHECKING:
    from striate.runs.folder import Run


@checked
def events(run: str | Path | Run, /, *, to: str = "csv", out: str | Path | None = None) -> Path:
    """Write the events of a run as CSV or as an event file of TensorBoard, and return the file's path.

    They are the loss, the learning rate and the scores of each evaluation, as the run's events.jsonl holds them. This
    works while the run trains, too: the next call adds what is new. 'tensorboard --logdir runs' shows all runs whose
    events were written for it.

    Example:
        striate.events("runs/photos", to="tensorboard")

    Args:
        run: the run's folder.
        to: csv or tensorboard.
        out: the file; by default events.csv or events.out.tfevents.striate within the run.

    Raises:
        ConfigError: there is no such form, or `out` is a file of something else.
        RunError: there is no such run, its events are damaged, or the file cannot be written.
    """
    from striate.core.errors import ConfigError
    from striate.runs.folder import open_run
    from striate.runs.observers import OBSERVERS, write_events
    from striate.training import read_events

    observer, opened = OBSERVERS[to], open_run(path_of(run))
    path = opened.path / observer.file if out is None else Path(out)
    if path.is_dir():
        raise ConfigError(
            f"The events are written to a file; received the folder {path}. Add a name, as {observer.file}."
        )
    write_events(path, observer.encode(read_events(opened.events_file)))
    return path
