"""Start a run: from the user's choice to a trained and evaluated classifier."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import replace
from pathlib import Path

from striate.core.config import override
from striate.core.progress import Progress, silent
from striate.data.audit import audit
from striate.data.loading.own_loaders import Loaders
from striate.data.sources.named_registry import OWN_LOADERS, is_named
from striate.data.sources.opening import open_data
from striate.models import MODELS, OWN_MODELS, split_place
from striate.runs.conclude import conclude
from striate.runs.criterion import check_criterion
from striate.runs.distillation import located
from striate.runs.events import RunEvent
from striate.runs.fitting import check_fit
from striate.runs.folder import Run, check_name, new_run
from striate.runs.own_loaders import PreparedLoaders, fitted
from striate.runs.plan import Plan, follow_imbalance, follow_model, follow_targets, make_plan
from striate.runs.prepare import Prepared, TrainingData, prepare_data
from striate.runs.probe import choose_transfer, follow_weights, pooled
from striate.runs.publish import Publisher
from striate.runs.recipes import RECIPES, recipe_for
from striate.runs.train import Session, Start, fit_run, train_run
from striate.runs.trained_folds import train_folds
from striate.runs.transfer import Features, complete


def start_run(
    data: str | Path | Loaders,
    changes: Mapping[str, object],
    *,
    recipe: str | None = None,
    name: str | None = None,
    folder: Path,
    execution: str | Path | None = None,
    progress: Progress = silent,
) -> Generator[RunEvent, None, Run]:
    """Start a new run with `changes` of a recipe, by default the one that suits the data.

    Its folder is made only after all checks.

    Raises:
        StriateError: something in the choice, the data or the folder is not possible.
    """
    if name is not None:
        check_name(folder, name)
    plan, prepared, stem = plan_run(data, changes, recipe=recipe, execution=execution, progress=progress)
    with new_run(folder, name, stem) as run:
        plan.write(run)
        yield from train_to_end(run, plan, prepared, Start(), progress=progress)
    return run


def plan_run(
    data: str | Path | Loaders,
    changes: Mapping[str, object],
    *,
    recipe: str | None = None,
    execution: str | Path | None = None,
    progress: Progress = silent,
) -> tuple[Plan, TrainingData, str]:
    """Return the plan, checked, the data ready to train on, and the beginning of a name for the run.

    Nothing is written but caches.

    Raises:
        StriateError: something in the choice or the data is not possible.
    """
    plan, prepared, stem = _prepared(data, changes, recipe, execution, progress)
    if not isinstance(plan.recipe.transfer, Features):  # what is frozen has no batch to be trained on
        check_fit(plan.recipe, prepared)
    check_criterion(plan.recipe, prepared)
    return plan, prepared, f"{stem}-{_short(plan.recipe.model)}"


def _prepared(
    data: str | Path | Loaders,
    changes: Mapping[str, object],
    recipe: str | None,
    execution: str | Path | None,
    progress: Progress,
) -> tuple[Plan, TrainingData, str]:
    """Return the plan, the data ready to train on, and the name of the data."""
    if isinstance(data, Loaders):
        completed, suited, _ = complete(changes, free=False)
        completed, _ = follow_targets(completed, label_sets=False)
        plan = fitted(make_plan(OWN_LOADERS, recipe or suited or "photos", completed, execution=execution), data)
        return located(plan), PreparedLoaders.read(data, plan.recipe.task), "loaders"
    plan, prepared = _untransferred(data, changes, recipe, execution, progress)
    plan = located(choose_transfer(plan, prepared, changes, progress=progress))
    pool = pooled(plan.recipe, prepared)
    return follow_imbalance(plan, changes, pool.class_counts), pool, prepared.dataset.name


def plan_images(
    data: str | Path,
    changes: Mapping[str, object],
    *,
    recipe: str | Path | None = None,
    progress: Progress = silent,
) -> tuple[Plan, Prepared]:
    """Return the plan of a training and its data, as far as images and their augmentation depend on it.

    The kind of transfer is not decided, so no network is read. `recipe` is a name, the folder of a run or a
    `recipe.json`; by default the recipe that suits the data without pretrained weights.

    Raises:
        StriateError: there is no such recipe, or something in the choice or the data is not possible.
    """
    name = recipe_for(data) if recipe is None else str(recipe)
    path = Path(name)
    if name not in RECIPES and path.exists():
        plan = Plan.read_file(Run(path).recipe_file if path.is_dir() else path)
        plan = replace(plan, recipe=override(plan.recipe, changes))
        return plan, prepare_data(plan.recipe, audit(open_data(data, progress=progress), progress=progress))
    return _untransferred(data, changes, name, None, progress)


def _untransferred(
    data: str | Path,
    changes: Mapping[str, object],
    recipe: str | None,
    execution: str | Path | None,
    progress: Progress,
) -> tuple[Plan, Prepared]:
    """Return the plan before the kind of transfer is chosen, and the data."""
    dataset = open_data(data, progress=progress)
    named = data if is_named(data) else str(Path(data).expanduser().resolve())
    completed, suited, reason = complete(changes, free=not is_named(data) and recipe is None)
    completed, several = follow_targets(completed, label_sets=dataset.has_label_sets)
    plan = make_plan(named, recipe or suited or recipe_for(data), completed, execution=execution)
    told = {"transfer": reason, "task": several}
    plan = replace(plan, reasons={**plan.reasons, **{group: why for group, why in told.items() if why}})
    found = audit(dataset, progress=progress)
    plan = follow_model(plan, changes, found.index) if plan.recipe.weights is None else follow_weights(plan, changes)
    return plan, prepare_data(plan.recipe, found, progress=progress)


def _short(model: str) -> str:
    """Return a model as a part of a folder's name."""
    known = split_place(model)[0] in MODELS or model in OWN_MODELS
    return model.replace("@", "-") if known else "written"


def train_to_end(
    run: Run, plan: Plan, prepared: TrainingData, start: Start, *, progress: Progress = silent
) -> Generator[RunEvent, None, None]:
    """Train to the end from where `start` says, and conclude the run."""
    prepared.record(run)
    session = Session(plan, prepared)
    if isinstance(plan.recipe.transfer, Features):
        ending = yield from fit_run(run, session, start, progress=progress)
        yield conclude(run, session, ending)
        return
    batches = prepared.load(plan.recipe, progress=progress)
    ending = yield from train_run(run, session, batches, start, Publisher(run, session), progress=progress)
    yield from train_folds(run, session, inexact=start.inexact, progress=progress)
    yield conclude(run, session, ending)
