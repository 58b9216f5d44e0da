"""A whole run: from what the user chose to a trained and judged classifier, as one stream of events."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from pathlib import Path

from striate.core.config import Overrides, difference, override, parse_overrides
from striate.core.device import ExecutionPlan, device_named, settings_kept
from striate.core.errors import ConfigError, RunError
from striate.core.progress import Progress, silent
from striate.data.audit.audit import audit
from striate.data.loading.own_loaders import Loaders
from striate.data.sources.named_registry import OWN_LOADERS, is_named
from striate.data.sources.opening import open_data
from striate.models import MODELS, OWN_MODELS, check_model
from striate.runs.conclude import conclude
from striate.runs.events import RunFinished, RunStarted
from striate.runs.fitting import check_fit
from striate.runs.folder import Plan, Run, check_name, new_run
from striate.runs.own_loaders import PreparedLoaders, fitted
from striate.runs.own_size import follow_model
from striate.runs.prepare import TrainingData, prepare_data
from striate.runs.publishing import Publisher
from striate.runs.recipes import RECIPES, recipe_for
from striate.runs.train import Session, Start, sit
from striate.tasks import TASKS
from striate.training import Event, newest_checkpoint

RunEvent = RunStarted | Event | RunFinished


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What a user chose for a new run; what is None follows from the data. `changes` come before `settings`."""

    recipe: str | None
    changes: Mapping[str, object]
    settings: Overrides
    name: str | None
    folder: Path
    execution_of: Path | None


def begin(data: str | Path | Loaders, choice: Choice, *, progress: Progress = silent) -> Generator[RunEvent, None, Run]:
    """Start a new run. Its folder is made when everything that can be wrong has been looked at.

    Raises:
        StriateError: something in the choice, the data or the folder is not possible.
    """
    if choice.name is not None:
        check_name(choice.folder, choice.name)
    plan, prepared, stem = _prepared(data, choice, progress)
    check_fit(plan.recipe, prepared)
    with new_run(choice.folder, choice.name, f"{stem}-{_short(plan.recipe.model)}") as run, settings_kept():
        plan.write(run)
        yield from carry_out(run, plan, prepared, Start(), progress=progress)
    return run


def _prepared(data: str | Path | Loaders, choice: Choice, progress: Progress) -> tuple[Plan, TrainingData, str]:
    """Return the plan, the data ready to train on, and the beginning of a name for the run."""
    if isinstance(data, Loaders):
        plan = _plan("photos", OWN_LOADERS, choice, data)
        return plan, PreparedLoaders.read(data, TASKS[plan.recipe.task]()), "loaders"
    dataset = open_data(data, progress=progress)
    named = data if is_named(data) else str(Path(data).expanduser().resolve())
    plan = _plan(recipe_for(data), named, choice)
    found = audit(dataset, progress=progress)
    plan = follow_model(plan, _together(choice), found.index)
    return plan, prepare_data(plan.recipe, found, progress=progress), dataset.name


def _plan(suited: str, data: str, choice: Choice, loaders: Loaders | None = None) -> Plan:
    """Return the plan of a run on `data`, from the recipe chosen or the one that is suited."""
    base_name = choice.recipe or suited
    base = RECIPES[base_name]()
    recipe = override(base, _together(choice))
    device_named(recipe.device)  # an absent one is said before any image is read
    if loaders is not None:
        recipe = fitted(recipe, base, loaders)
    check_model(recipe.model)  # an unknown name is said before any picture is read
    return Plan(
        recipe=recipe,
        base=base_name,
        data=data,
        difference=difference(recipe, base),
        execution=None if choice.execution_of is None else _execution_of(choice.execution_of),
    )


def _together(choice: Choice) -> dict[str, object]:
    """All that was chosen, in one mapping, so that the name of an optimizer and its options may come in any form.

    Raises:
        ConfigError: a setting was given twice.
    """
    settings = dict(parse_overrides(choice.settings))
    for key in choice.changes.keys() & settings.keys():
        raise ConfigError(f"{key} is given twice, as an option and as a setting: leave one of them out.")
    return {**choice.changes, **settings}


def _short(model: str) -> str:
    """A model as a part of a folder's name."""
    return model if model in MODELS or model in OWN_MODELS else "written"


def _execution_of(path: Path) -> ExecutionPlan:
    checkpoint, _ = newest_checkpoint(Run(path).checkpoints)
    if checkpoint is None:
        raise RunError(f"{path} has no checkpoint that says how it was executed.")
    return checkpoint.plan


def carry_out(
    run: Run, plan: Plan, prepared: TrainingData, start: Start, *, progress: Progress = silent
) -> Generator[RunEvent, None, None]:
    """Train to the end from where `start` says, and judge what came of it."""
    prepared.record(run)
    session = Session(plan, prepared)
    batches = prepared.load(plan.recipe, progress=progress)
    ending = yield from sit(run, session, batches, start, Publisher(run, session), progress=progress)
    conclusion = conclude(run, session, ending)
    yield RunFinished(
        run=run,
        reason=ending.reason,
        kept_epoch=conclusion.kept_epoch,
        judgements=conclusion.judgements,
        unread=conclusion.unread,
    )
