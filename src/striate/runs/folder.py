"""The folder of a run: the paths of its parts, and the lock for writing."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from striate.classifier import Classifier, load_classifier
from striate.core.errors import BusyError, RunError, nearest
from striate.core.files import locked, make_folder, open_regular, storage_error, sweep, sync_folder
from striate.core.notebook import table
from striate.metrics import EVALUATORS, ClassificationScores, Scores
from striate.tasks import CLASSIFICATION

LOCK = ".lock"


@dataclass(frozen=True)
class Run:
    """The folder of one training run. Its parts:

    recipe.json    the recipe, its base, and the name of the data        checkpoints/   where it can resume
    events.jsonl   the record of the training                            evaluations/   the scores of each split
    health.jsonl   measurements of its layers
    audit.json     the audit of the data                                 classifier/    the trained classifier
    images.csv     the images it was started with, where they are files
    labels.csv     after a cross-validation: labels to check first, to correct and train on
    curve.json     after a cross-validation: accuracy by number of images per class
    folds/         the answers of the network of each fold, where a training is repeated without it
    thumbnails.npz its images in few pixels, to recognise copies of them
    mirrored.json  its answers to mirrored images
    report.html    the report

    A run is path-like: every function that takes the path of a run takes the run.
    """

    path: Path

    def __fspath__(self) -> str:
        return str(self.path)

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r})"

    def _repr_html_(self) -> str:
        rows = [
            (name, scores.count, f"{scores.top1.value or 0:.2%}", f"{low:.1%} to {high:.1%}")
            for name, scores in self.scores.items()
            if isinstance(scores, ClassificationScores)
            for low, high in [scores.top1.interval or (0.0, 1.0)]
        ]
        columns = ("judged on", "images", "accuracy", "95 % interval")
        return table(columns, rows, title=f"Run {self.path}", note=f"report: {self.report_file}")

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def argument(self) -> str:
        """The path as it is typed in a shell."""
        return shlex.quote(str(self.path))

    @property
    def recipe_file(self) -> Path:
        return self.path / "recipe.json"

    @property
    def events_file(self) -> Path:
        return self.path / "events.jsonl"

    @property
    def health_file(self) -> Path:
        return self.path / "health.jsonl"

    @property
    def audit_file(self) -> Path:
        return self.path / "audit.json"

    @property
    def images_file(self) -> Path:
        return self.path / "images.csv"

    @property
    def mirrored_file(self) -> Path:
        return self.path / "mirrored.json"

    @property
    def thumbnails_file(self) -> Path:
        return self.path / "thumbnails.npz"

    @property
    def labels_file(self) -> Path:
        return self.path / "labels.csv"

    @property
    def curve_file(self) -> Path:
        return self.path / "curve.json"

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def evaluations(self) -> Path:
        return self.path / "evaluations"

    @property
    def classifier_folder(self) -> Path:
        return self.path / "classifier"

    @property
    def classifier(self) -> Classifier:
        """Read the trained classifier from its folder.

        Raises:
            RunError: the run has no classifier yet, or it is damaged.
        """
        return load_classifier(self.path)

    @property
    def scores(self) -> dict[str, Any]:
        """Return the scores of each evaluation by its name: `run.scores["test"].top1.interval`.

        They are `striate.metrics.ClassificationScores` for classification. Training evaluates `train`, `val` and
        `test`, and `striate.evaluate` adds its own. Empty before the training has ended.

        Raises:
            RunError: an evaluation is damaged.
        """
        return {file.stem: read_scores(file)[0] for file in sorted(self.evaluations.glob("*.json"))}

    @property
    def report_file(self) -> Path:
        return self.path / "report.html"

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Lock the run for this process, and remove files that a killed process left incomplete.

        Raises:
            RunError: another process is writing in it, or the folder cannot be written.
        """
        busy = (
            f"Another process is writing in {self.path}. Wait until it has ended, stop it (Ctrl-C there), or give this "
            "run another name."
        )
        with locked(self.path / LOCK, busy=busy):
            sweep(self.path)
            yield


def read_scores(file: Path) -> tuple[Scores, dict[str, Any]]:
    """Read the scores of an evaluation's `file`, and all that the file holds.

    Raises:
        RunError: the file cannot be read, or is damaged.
    """
    try:
        with open_regular(file) as opened:
            content = json.loads(opened.read())
        stored = content["scores"] if "scores" in content else content["judgement"]  # as runs before the tasks have it
        return EVALUATORS[content.get("task", CLASSIFICATION.name)].read(stored), content
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise RunError(f"The evaluation {file} is damaged ({error}). Evaluate the run again.") from error


@contextlib.contextmanager
def new_run(folder: Path, name: str | None, stem: str) -> Iterator[Run]:
    """Make the folder of a new run, and lock it for this process.

    The folder is `folder/name`, or the first free one of `stem`, `stem-2`, `stem-3` ….

    A folder whose run did not begin (its process was killed, or the disk was full) is free. A run has begun when
    `Plan.write` has written into it.

    Raises:
        RunError: a run of that name is there already, or the folder cannot be written.
    """
    make_folder(folder)  # in a file, no name would ever be free
    for candidate in [name] if name else _numbered(stem):
        run = Run(folder / candidate)
        if not is_free(run):
            continue
        make_folder(run.path)
        with contextlib.suppress(OSError):  # some file systems cannot sync a folder
            sync_folder(folder)
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(run.writing())
            except BusyError:
                continue
            if is_free(run):  # as it was before another process began and ended in it
                yield run
                return
    raise _taken(Run(folder / str(name)))


def is_free(run: Run) -> bool:
    """Return whether the run's path holds at most the remains of an interrupted start.

    Raises:
        RunError: the folder cannot be read.
    """
    try:
        names = [entry.name for entry in os.scandir(run.path)]
    except FileNotFoundError:
        return not run.path.is_symlink()
    except NotADirectoryError:
        return False
    except OSError as error:
        raise storage_error(run.path, error) from error
    return all(name == LOCK or name.startswith(f".{run.recipe_file.name}.") for name in names)


def check_name(folder: Path, name: str) -> None:
    """Check, before long work, a name that `new_run` would refuse after it.

    Raises:
        RunError: the name is not that of a folder, or is taken.
    """
    if Path(name).name != name or name in ("", ".", "..") or not _can_be_stored(name):
        raise RunError(f"The name of a run is that of a folder, without slashes; received {name!r}.")
    if not is_free(Run(folder / name)):
        raise _taken(Run(folder / name))


def _can_be_stored(name: str) -> bool:
    try:
        return b"\0" not in os.fsencode(name)
    except UnicodeEncodeError:
        return False


def _numbered(stem: str) -> Iterator[str]:
    yield stem
    yield from (f"{stem}-{number}" for number in itertools.count(2))


def _taken(run: Run) -> RunError:
    if run.recipe_file.exists():
        return RunError(
            f"{run.path} already exists. Choose another --name, or resume it: striate resume {run.argument}"
        )
    return RunError(f"{run.path} already exists and is not a run. Choose another --name, or move it.")


def open_run(path: str | os.PathLike[str]) -> Run:
    """Return the run at `path`.

    Raises:
        RunError: there is no run there; the nearest of the folder is offered.
    """
    run = Run(Path(path))
    try:
        if run.recipe_file.exists():
            return run
        begun = run.path.is_dir() and is_free(run)
        folder = run.path.parent
        siblings = [p.name for p in folder.iterdir() if (p / "recipe.json").exists()] if folder.is_dir() else []
    except (OSError, ValueError) as error:  # no permission, or not the name of a file
        raise RunError(
            f"{str(run.path)!r} cannot be opened ({error}). Name a run's folder that you may read."
        ) from error
    if begun:
        raise RunError(
            f"The training of {run.path} was stopped before it began. Begin it: striate train DATA --name "
            f"{shlex.quote(run.name)}"
        )
    hint = nearest(run.name, siblings) if siblings else "A run is made by 'striate train DATA'."
    raise RunError(f"There is no run in {run.path}. {hint}")
