"""A whole run: from what the user chose to a trained and judged classifier, as one stream of events."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from striate.core.config import Overrides, difference
from striate.core.device import ExecutionPlan, settings_kept
from striate.core.errors import ConfigError, RunError
from striate.core.protocols import Auxiliary
from striate.data.catalogue import is_named
from striate.data.dataset import Dataset
from striate.data.opening import open_data
from striate.data.own_loaders import OWN_LOADERS, Loaders
from striate.models import MODELS, OWN_MODELS, check_model, sketch_model
from striate.recipes.conclusion import conclude
from striate.recipes.events import RunFinished, RunStarted
from striate.recipes.folder import Plan, Run, check_name, create_run
from striate.recipes.named import RECIPES, recipe_for
from striate.recipes.own_loaders import PreparedLoaders, fitted
from striate.recipes.preparation import TrainingData, prepare_data
from striate.recipes.recipe import Recipe
from striate.recipes.session import assemble, sit
from striate.recipes.stage import Progress, watched
from striate.training import Event, newest_checkpoint

RunEvent = Progress | RunStarted | Event | RunFinished


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What a user chose for a new run; what is None follows from the data. `changes` come before `settings`."""

    recipe: str | None
    changes: Mapping[str, object]
    settings: Overrides
    name: str | None
    folder: Path
    execution_of: Path | None


def begin(data: str | Path | Loaders, choice: Choice) -> Generator[RunEvent, None, Run]:
    """Start a new run. Its folder is made when everything that can be wrong has been looked at.

    Raises:
        StriateError: something in the choice, the data or the folder is not possible.
    """
    if choice.name is not None:
        check_name(choice.folder, choice.name)
    plan, prepared, stem = yield from _prepared(data, choice)
    channels, height, width = prepared.input.shape
    network = sketch_model(plan.recipe.model, classes=len(prepared.labels), channels=channels, size=(height, width))
    _check_auxiliary(plan.recipe, network, (height, width))
    run = create_run(choice.folder, choice.name, f"{stem}-{_short(plan.recipe.model)}")
    with run.writing(), settings_kept():
        plan.write(run)
        yield from _carry_out(run, plan, prepared, inexact=False)
    return run


def go_on(run: Run, *, inexact: bool, loaders: Loaders | None = None) -> Generator[RunEvent, None, None]:
    """Go on with a run from its last good checkpoint; of a run that is complete, judge it anew.

    A run that was trained on loaders needs them again.

    Raises:
        RunError: the run is damaged or busy, or going on would not be exact and `inexact` was not said.
    """
    plan = Plan.read(run)
    with run.writing(), settings_kept():
        if loaders is not None:
            prepared: TrainingData = PreparedLoaders.read(loaders)
        else:
            prepared = yield from prepare_data(plan.recipe, (yield from _opened(plan.data)))
        yield from _carry_out(run, plan, prepared, inexact=inexact)


def _prepared(data: str | Path | Loaders, choice: Choice) -> Generator[Progress, None, tuple[Plan, TrainingData, str]]:
    """Return the plan, the data ready to train on, and the beginning of a name for the run."""
    if isinstance(data, Loaders):
        return _plan("photos", OWN_LOADERS, choice, data), PreparedLoaders.read(data), "loaders"
    dataset = yield from _opened(data)
    named = data if is_named(data) else str(Path(data).expanduser().resolve())
    plan = _plan(recipe_for(data), named, choice)
    return plan, (yield from prepare_data(plan.recipe, dataset)), dataset.name


def _opened(data: str | Path) -> Generator[Progress, None, Dataset]:
    """The data, fetched first where they are named ones that are not here yet (in bytes)."""
    return (
        yield from watched(
            "fetching the data",
            lambda report: open_data(data, progress=lambda file, done, total: report(done, total)),
        )
    )


def _plan(suited: str, data: str, choice: Choice, loaders: Loaders | None = None) -> Plan:
    """Return the plan of a run on `data`, from the recipe chosen or the one that is suited."""
    base_name = choice.recipe or suited
    base = RECIPES[base_name]()
    recipe = base.changed(choice.changes).changed(choice.settings)
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


def _short(model: str) -> str:
    """A model as a part of a folder's name."""
    return model if model in MODELS or model in OWN_MODELS else "written"


def _check_auxiliary(recipe: Recipe, network: nn.Module, size: tuple[int, int]) -> None:
    has_any = isinstance(network, Auxiliary) and bool(network.auxiliary_heads)
    if recipe.loss.auxiliary is not None and not has_any:
        raise ConfigError(
            f"loss.auxiliary is the weight of auxiliary classifiers, and {recipe.model} has none for pictures of "
            f"{size[0]}×{size[1]}. Leave the setting out."
        )


def _execution_of(path: Path) -> ExecutionPlan:
    checkpoint, _ = newest_checkpoint(Run(path).checkpoints)
    if checkpoint is None:
        raise RunError(f"{path} has no checkpoint that says how it was executed.")
    return checkpoint.plan


def _carry_out(run: Run, plan: Plan, prepared: TrainingData, *, inexact: bool) -> Generator[RunEvent, None, None]:
    prepared.record(run)
    session = yield from assemble(plan, prepared)
    ending = yield from sit(run, session, inexact=inexact)
    conclusion = yield from conclude(run, session, ending)
    yield RunFinished(run=run, reason=ending.reason, kept_epoch=conclusion.kept_epoch, judgements=conclusion.judgements)
