"""Forms of a run's events for other programs. Each is a function of `events.jsonl` alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from striate.core.comma_separated import csv_row
from striate.core.errors import ConfigError
from striate.core.files import make_folder, open_regular, storage_error, write_atomically
from striate.core.registry import Registry
from striate.runs.tensorboard import tensorboard

Events = Sequence[Mapping[str, Any]]
_MARK = 12  # first bytes, by which a form is known: the head of a table, the length of TensorBoard's first record


@dataclass(frozen=True)
class Observer:
    """A form of the events: `encode` returns the content of a file whose usual name is `file`."""

    file: str
    encode: Callable[[Events], bytes]


OBSERVERS: Registry[Observer] = Registry("form of events")


def comma_separated(events: Events) -> bytes:
    """Return a row for each event: the position in the training, the training loss, and the scores of an evaluation.

    `time` is in seconds since 1970, `seconds` the time spent training. The scores are of the validation split.
    """
    scores = dict.fromkeys(score for event in events for score in event.get("scores", ()))
    rows: list[list[object]] = [
        ["event", "time", "seconds", "epoch", "step", "loss", "learning_rate", *map("val_{}".format, scores)]
    ]
    for event in events:
        wall, clock, found = event.get("wall", {}), event.get("clock", {}), event.get("scores", {})
        rows.append(
            [
                event["event"],
                *(wall.get(key) for key in ("at", "seconds")),
                *(clock.get(key) for key in ("epoch", "step")),
                *(event.get(key) for key in ("loss", "lr")),
                *(found.get(score) for score in scores),
            ]
        )
    return "".join(map(csv_row, rows)).encode()


def write_events(path: Path, content: bytes) -> None:
    """Write `content` to `path`; where the file holds its beginning, append the rest.

    A program that follows a file while it grows, as TensorBoard does, sees the new events.

    Raises:
        ConfigError: the file exists and holds something else than events in this form.
        StriateError: the file cannot be written.
    """
    make_folder(path.parent)
    try:
        if path.exists():
            with open_regular(path) as file:
                held = file.read()
            if content.startswith(held):
                with open(path, "ab") as file:
                    file.write(content[len(held) :])
                return
            if not held.startswith(content[:_MARK]):
                raise ConfigError(f"{path} exists, and is no earlier file of events in this form. Choose another name.")
    except OSError as error:
        raise storage_error(path, error) from error
    write_atomically(path, content)


OBSERVERS.add("csv", Observer("events.csv", comma_separated))
OBSERVERS.add("tensorboard", Observer("events.out.tfevents.striate", tensorboard))
