"""Start a run: from the user's choice to a trained and evaluated classifier."""

from __future__ import annotations

import itertools
from collections.abc import Generator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path

from striate.core.config import to_json
from striate.core.errors import ConfigError
from striate.core.processes import processes
from striate.core.progress import Progress, silent
from striate.data.audit import audit
from striate.data.loading.own_loaders import Loaders
from striate.data.sources.named_registry import OWN_LOADERS, is_named
from striate.data.sources.opening import open_data
from striate.models import MODELS, OWN_MODELS, split_place
from striate.runs.criterion import check_criterion
from striate.runs.distillation import located
from striate.runs.events import RunEvent
from striate.runs.fitting import check_fit
from striate.runs.folder import Run, check_name, new_run
from striate.runs.own_loaders import PreparedLoaders, fitted
from striate.runs.plan import Plan, follow_imbalance, follow_model, follow_targets, is_stored, make_plan
from striate.runs.prepare import Prepared, TrainingData, prepare_data
from striate.runs.probe import choose_transfer, follow_weights, pooled
from striate.runs.recipes import recipe_for
from striate.runs.resume import resume_run
from striate.runs.several import begun_before, check_several, mark
from striate.runs.to_end import train_to_end
from striate.runs.train import Start
from striate.runs.transfer import Features, complete

_trainings = itertools.count(1)
"""Numbers the trainings that this process starts, so that each finds its own run when torchrun starts it again."""


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

    `recipe` is a name, the folder of a run or a `recipe.json`, whose settings are repeated on these data.
    Its folder is made only after all checks. Where torchrun starts the processes again after one has failed, the run
    that they had begun is resumed.

    Raises:
        StriateError: something in the choice, the data or the folder is not possible.
    """
    together, training = processes(), next(_trainings)
    begun = together.once(lambda: begun_before(folder, training))
    if begun is not None:
        yield from resume_run(begun, inexact=False, progress=progress)
        return begun
    if name is not None:
        together.once(lambda: check_name(folder, name))
    plan, prepared, stem = plan_run(data, changes, recipe=recipe, execution=execution, progress=progress)
    with ExitStack() as stack:
        run = together.once(lambda: _begin(stack, plan, folder, name, stem))
        together.once(lambda: mark(run, training))
        yield from train_to_end(run, plan, prepared, Start(), progress=progress)
    return run


def _begin(stack: ExitStack, plan: Plan, folder: Path, name: str | None, stem: str) -> Run:
    """Return the new run, which `stack` keeps locked, with its plan."""
    run = stack.enter_context(new_run(folder, name, stem))
    plan.write(run)
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
    together = processes()
    if isinstance(data, Loaders):
        if together.count > 1:
            raise ConfigError(
                "Loaders of your own are not divided among processes. Train on files, or run without torchrun."
            )
        completed, suited, _ = complete(changes, free=False)
        completed, _ = follow_targets(completed, label_sets=False)
        plan = fitted(make_plan(OWN_LOADERS, recipe or suited or "photos", completed, execution=execution), data)
        return located(plan), PreparedLoaders.read(data, plan.recipe.task), "loaders"
    plan, prepared = _untransferred(data, changes, recipe, execution, progress)
    plan = together.once(lambda: located(choose_transfer(plan, prepared, changes, progress=progress)))
    check_several(plan.recipe, together)
    together.require_same("data", (prepared.digest, to_json(prepared.input)))
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
    return _untransferred(data, changes, recipe_for(data) if recipe is None else str(recipe), None, progress)


def _untransferred(
    data: str | Path,
    changes: Mapping[str, object],
    recipe: str | None,
    execution: str | Path | None,
    progress: Progress,
) -> tuple[Plan, Prepared]:
    """Return the plan before the kind of transfer is chosen, and the data."""
    together = processes()
    with together.in_turn():
        dataset = open_data(data, progress=progress)
    plan = together.once(lambda: _plan(data, changes, recipe, execution, label_sets=dataset.has_label_sets))
    check_several(plan.recipe, together)
    with together.in_turn():
        found = audit(dataset, progress=progress)
    if not is_stored(recipe):
        follow = follow_weights if plan.recipe.weights is not None else partial(follow_model, index=found.index)
        plan = together.once(lambda: follow(plan, changes))
    return plan, prepare_data(plan.recipe, found, progress=progress)


def _plan(
    data: str | Path,
    changes: Mapping[str, object],
    recipe: str | None,
    execution: str | Path | None,
    *,
    label_sets: bool,
) -> Plan:
    """Return the plan as far as it does not depend on the images."""
    named = data if is_named(data) else str(Path(data).expanduser().resolve())
    if recipe is not None and is_stored(recipe):
        stored = complete(changes, free=False)[0] if "weights" in changes else changes
        return make_plan(named, recipe, stored, execution=execution)
    completed, suited, reason = complete(changes, free=not is_named(data) and recipe is None)
    completed, several = follow_targets(completed, label_sets=label_sets)
    plan = make_plan(named, recipe or suited or recipe_for(data), completed, execution=execution)
    added = {"transfer": reason, "task": several}
    return replace(plan, reasons={**plan.reasons, **{group: why for group, why in added.items() if why}})


def _short(model: str) -> str:
    """Return a model as a part of a folder's name."""
    known = split_place(model)[0] in MODELS or model in OWN_MODELS
    return model.replace("@", "-") if known else "written"
