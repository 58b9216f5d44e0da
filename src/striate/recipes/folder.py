"""A run as a folder: where each part lies, and who may write in it."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from striate.classifier import Classifier, load_classifier
from striate.core.config import from_json, to_json
from striate.core.device import ExecutionPlan
from striate.core.errors import ConfigError, RunError, nearest
from striate.core.files import locked, storage_error, sweep, write_json
from striate.core.notebook import table
from striate.metrics import Judgement
from striate.recipes.recipe import Recipe

FORMAT = 1


@dataclass(frozen=True)
class Run:
    """The folder of one training run. Its parts:

    recipe.json    the recipe, its base, and what it was trained on      checkpoints/   where it can go on
    events.jsonl   the one record of what happened                       evaluations/   how it was judged
    audit.json     what was found in the data                            classifier/    the trained thing
    report.html    all of it, to read

    A run is path-like: whatever takes the path of a run takes the run.
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
            for low, high in [scores.top1.interval or (0.0, 1.0)]
        ]
        columns = ("judged on", "images", "accuracy", "95 % interval")
        return table(columns, rows, title=f"Run {self.path}", note=f"report: {self.report_file}")

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def recipe_file(self) -> Path:
        return self.path / "recipe.json"

    @property
    def events_file(self) -> Path:
        return self.path / "events.jsonl"

    @property
    def audit_file(self) -> Path:
        return self.path / "audit.json"

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
        """The trained classifier, read from its folder anew at each call.

        Raises:
            RunError: the run has no classifier yet, or it is damaged.
        """
        return load_classifier(self.path)

    @property
    def scores(self) -> dict[str, Judgement]:
        """Everything that was measured, by the name of what was judged: `run.scores["test"].top1.interval`.

        Training judges `train`, `val` and `test`; `striate.evaluate` adds what it judges. Empty before the training has
        ended.

        Raises:
            RunError: an evaluation is damaged.
        """
        return {file.stem: read_judgement(file)[0] for file in sorted(self.evaluations.glob("*.json"))}

    @property
    def report_file(self) -> Path:
        return self.path / "report.html"

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Be the only process that trains or ends this run, and remove what a killed one left half-written.

        Raises:
            RunError: another process is writing in it, or the folder cannot be written.
        """
        busy = f"Another process is writing in {self.path}. Wait until it has ended, or give this run another name."
        with locked(self.path / ".lock", busy=busy):
            sweep(self.path)
            yield


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a run sets out to do, as `recipe.json` holds it.

    `base` is the name of the recipe that `recipe` was made from, `difference` maps each setting in which they differ to
    (the base's value, this run's). `data` is what the user named, made absolute where it is a path. `execution` is the
    plan to repeat, where another run's was asked for.
    """

    recipe: Recipe
    base: str
    data: str
    difference: dict[str, tuple[Any, Any]]
    execution: ExecutionPlan | None = None

    def write(self, run: Run) -> None:
        """Write `recipe.json` into `run`."""
        content = {
            "format": FORMAT,
            "data": self.data,
            "base": self.base,
            "difference": self.difference,
            "execution": to_json(self.execution) if self.execution else None,
            "recipe": to_json(self.recipe),
        }
        write_json(run.recipe_file, content)

    @classmethod
    def read(cls, run: Run) -> Plan:
        """Read `recipe.json` of `run`.

        Raises:
            RunError: it is missing, damaged, or of another format.
        """
        try:
            content = json.loads(run.recipe_file.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise RunError(f"{run.recipe_file} cannot be read ({error}). Restore it from a copy.") from error
        found = content.get("format") if isinstance(content, dict) else None
        if found != FORMAT:
            raise RunError(f"{run.recipe_file} has format {found!r}; this version of Striate reads format {FORMAT}.")
        try:
            return cls(
                recipe=from_json(Recipe, content["recipe"]),
                base=content["base"],
                data=content["data"],
                difference={key: (old, new) for key, (old, new) in content["difference"].items()},
                execution=from_json(ExecutionPlan, content["execution"]) if content["execution"] else None,
            )
        except (ConfigError, KeyError, TypeError, ValueError) as error:
            raise RunError(f"{run.recipe_file} is damaged ({error}). Restore it from a copy.") from error


def read_judgement(file: Path) -> tuple[Judgement, dict[str, Any]]:
    """The judgement that an evaluation's `file` holds, and all that the file holds.

    Raises:
        RunError: the file cannot be read, or is damaged.
    """
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        return Judgement.from_json(content["judgement"]), content
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(f"The evaluation {file} is damaged ({error}). Evaluate the run again.") from error


def create_run(folder: Path, name: str | None, stem: str) -> Run:
    """Make the folder of a new run: `folder/name`, or the first of `stem`, `stem-2`, `stem-3` … that is free.

    Raises:
        RunError: a run of that name is there already, or the folder cannot be written.
    """
    for candidate in [name] if name else _numbered(stem):
        run = Run(folder / candidate)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            run.path.mkdir()
        except FileExistsError:
            continue
        except OSError as error:
            raise storage_error(run.path, error) from error
        return run
    raise _taken(Run(folder / str(name)))


def check_name(folder: Path, name: str) -> None:
    """Refuse early a name that `create_run` would refuse after long work.

    Raises:
        RunError: the name is no name of a folder, or is taken.
    """
    if Path(name).name != name or name in ("", ".", ".."):
        raise RunError(f"A run's name is the name of a folder, without slashes; received {name!r}.")
    if (folder / name).exists():
        raise _taken(Run(folder / name))


def _numbered(stem: str) -> Iterator[str]:
    yield stem
    yield from (f"{stem}-{number}" for number in itertools.count(2))


def _taken(run: Run) -> RunError:
    return RunError(f"{run.path} is there already. Choose another --name, or go on with it: striate resume {run.path}")


def open_run(path: str | os.PathLike[str]) -> Run:
    """The run at `path`.

    Raises:
        RunError: there is no run there; the nearest of the folder is offered.
    """
    run = Run(Path(path))
    if run.recipe_file.exists():
        return run
    folder = run.path.parent
    siblings = [p.name for p in folder.iterdir() if (p / "recipe.json").exists()] if folder.is_dir() else []
    hint = nearest(run.name, siblings) if siblings else "A run is made by 'striate train DATA'."
    raise RunError(f"There is no run in {run.path}. {hint}")
