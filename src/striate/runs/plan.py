"""The plan of a run: from the user's choice to a recipe, as `recipe.json` holds it."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int64

from striate.core.config import Overrides, from_json, override, parse_overrides, to_json
from striate.core.device import ExecutionPlan, device_named
from striate.core.difference import difference
from striate.core.duration import Duration
from striate.core.errors import ConfigError, RunError
from striate.core.files import expanded, read_json, write_json
from striate.core.imbalance import UNEVEN, imbalance, is_imbalanced
from striate.data.audit.index import ImageIndex
from striate.models import MODELS, check_model
from striate.runs.folder import Run
from striate.runs.recipe import Recipe, read_recipe
from striate.runs.recipes import RECIPES
from striate.runs.transfer import Features, cross_validates
from striate.tasks import TASKS, Multilabel
from striate.training import newest_checkpoint

FORMAT = 2
READABLE = (1, 2)


@dataclass(frozen=True, kw_only=True)
class Probe:
    """The result of a cross-validation of linear classifiers on the features of a place.

    `correct` of `count` images out of fold, with their mean negative log-likelihood `loss`; `nearest` is the number of
    correct ones by their five nearest neighbours. `c` had the smallest loss.
    """

    place: str
    width: int
    c: float
    correct: int
    nearest: int
    count: int
    loss: float

    @property
    def accuracy(self) -> float:
        """Fraction of correct answers."""
        return self.correct / self.count


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The recipe and the data of a run, as `recipe.json` holds them.

    `base` is the name of the recipe that `recipe` was made from, `difference` maps each setting in which they differ to
    (the base's value, this run's), except for those that transfer decides. `data` is what the user named, made absolute
    where it is a path. `execution` is the plan to repeat, where another run's was asked for. `end_before` is the end of
    the run before `resume --epochs` changed it, which distinguishes that change of `recipe.epochs` from an edit by
    hand. `reasons` explains settings that the user did not choose. `probes` are the places whose features were compared
    to choose the kind of transfer.
    """

    recipe: Recipe
    base: str
    data: str
    difference: dict[str, tuple[Any, Any]]
    execution: ExecutionPlan | None = None
    end_before: Duration | None = None
    reasons: dict[str, str] = field(default_factory=dict)
    probes: tuple[Probe, ...] = ()

    def ending(self, end: Duration, before: Duration) -> Plan:
        """Return this plan with another end than `before`, the end of the training so far."""
        changed = {key: values for key, values in self.difference.items() if key != "epochs"}
        of_base = self.difference.get("epochs", (to_json(self.recipe.epochs),))[0]
        if of_base != to_json(end):
            changed["epochs"] = (of_base, to_json(end))
        return replace(self, recipe=replace(self.recipe, epochs=end), difference=changed, end_before=before)

    def write(self, run: Run) -> None:
        """Write `recipe.json` into `run`."""
        content = {
            "format": FORMAT,
            "data": self.data,
            "base": self.base,
            "difference": self.difference,
            "reasons": self.reasons,
            "probes": [asdict(probe) for probe in self.probes],
            "execution": to_json(self.execution) if self.execution else None,
            "end_before": to_json(self.end_before),
            "recipe": to_json(self.recipe),
        }
        write_json(run.recipe_file, content)

    @classmethod
    def read(cls, run: Run) -> Plan:
        """Read `recipe.json` of `run`.

        Raises:
            RunError: it is missing, damaged, or of another format.
        """
        return cls.read_file(run.recipe_file)

    @classmethod
    def read_file(cls, path: Path) -> Plan:
        """Read a `recipe.json`.

        Raises:
            RunError: it is missing, damaged, or of another format.
        """
        try:
            content = read_json(path, "Restore it from a copy.")
        except FileNotFoundError as error:
            raise RunError(f"{path} is not there. Restore it from a copy.") from error
        found = content.get("format") if isinstance(content, dict) else None
        if found not in READABLE:
            raise RunError(f"{path} has format {found!r}; this version of Striate reads formats 1 and 2.")
        try:
            for key in ("base", "data"):
                if not isinstance(content[key], str):
                    raise ValueError(f"{key} is a text; received {content[key]!r}")
            before = content.get("end_before")
            return cls(
                recipe=read_recipe(content["recipe"]),
                base=content["base"],
                data=content["data"],
                difference={key: (old, new) for key, (old, new) in content["difference"].items()},
                execution=from_json(ExecutionPlan, content["execution"]) if content["execution"] else None,
                end_before=None if before is None else Duration.parse(before),
                reasons=dict(content.get("reasons", {})),
                probes=tuple(Probe(**probe) for probe in content.get("probes", ())),
            )
        except ConfigError as error:
            raise RunError(
                f"{path} has a setting that does not hold here: {error} If it is one of your own, import the module "
                "that registers it first (on the command line: --import MODULE); else restore the file from a copy."
            ) from error
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise RunError(f"{path} is damaged ({error}). Restore it from a copy.") from error


def make_plan(data: str, recipe: str, changes: Mapping[str, object], *, execution: str | Path | None = None) -> Plan:
    """Return the plan to train on `data` by a recipe with `changes`.

    `recipe` is a name, the folder of a run or a `recipe.json` (`is_stored`). `execution` is a run whose execution plan
    is repeated.

    Raises:
        ConfigError: there is no such recipe, setting or device.
        ModelError: there is no such model.
        RunError: the recipe of a run is missing or damaged, or the run of `execution` has no checkpoint.
    """
    base, start = recipe, None
    if is_stored(recipe):
        path = expanded(recipe)
        stored = Plan.read_file(Run(path).recipe_file if path.is_dir() else path)
        base, start = stored.base, stored.recipe
    named = RECIPES[base]()
    changed = override(named if start is None else start, dict(changes))
    device_named(changed.device)
    check_model(changed.model)
    repeated = None if execution is None else _execution_of(Path(execution))
    return Plan(recipe=changed, base=base, data=data, difference=difference(changed, named), execution=repeated)


def is_stored(recipe: str | None) -> bool:
    """Return whether `recipe` is the folder of a run or a `recipe.json`, not the name of a recipe."""
    return recipe is not None and recipe not in RECIPES and os.path.exists(expanded(recipe))


def together(options: Mapping[str, object], settings: Overrides) -> dict[str, object]:
    """Return options and settings as one mapping, so that an optimizer and its options may come in either form.

    Raises:
        ConfigError: a setting is given twice.
    """
    pairs = dict(parse_overrides(settings))
    for key in options.keys() & pairs.keys():
        raise ConfigError(f"{key} is given twice, as an option and as a setting: leave one of them out.")
    return {**options, **pairs}


def changed_recipe(plan: Plan, recipe: Recipe, **reasons: str) -> Plan:
    """Return the plan with another recipe, and reasons for the changes; no setting is added to `difference`."""
    found = difference(recipe, RECIPES[plan.base]())
    kept = {key: values for key, values in found.items() if key in plan.difference}
    return replace(plan, recipe=recipe, difference=kept, reasons={**plan.reasons, **reasons})


def follow_model(plan: Plan, chosen: Collection[str], index: ImageIndex) -> Plan:
    """Return the plan with the input size of the model's card, where the user chose the model and no size.

    An image is not enlarged beyond the larger of the recipe's own size and the median shorter side of the images: that
    would cost work and add nothing. Recipes for named data keep the size of their data. The reason is kept in the plan.
    """
    recipe, base = plan.recipe, RECIPES[plan.base]()
    usual = base.input.height
    free = plan.base == "photos" and not {"input.height", "input.width"} & set(chosen)
    if not free or usual is None or recipe.model == base.model or recipe.model not in MODELS:
        return plan
    height, width = MODELS[recipe.model].card.input[1:]
    shorter = np.minimum(index.heights, index.widths)[index.readable]
    most = max(usual, int(np.median(shorter)) if len(shorter) else 0)
    made_for = f"{recipe.model} is made for {height}×{width}"
    if max(height, width) > most:
        height = width = most
        made_for += f", and the images' median shorter side is {int(np.median(shorter))}"
    times = height * width / usual**2
    cost = f"; {times:.3g} times the pixels of {usual}×{usual}, --size {usual} is faster" if times > 1 else ""
    sized = replace(recipe, input=replace(recipe.input, height=height, width=width))
    reasons = {**plan.reasons, "input": made_for + cost}
    return replace(plan, recipe=sized, difference=difference(sized, base), reasons=reasons)


def follow_targets(changes: Mapping[str, object], *, label_sets: bool) -> tuple[dict[str, object], str]:
    """Complete `changes` of a recipe by a task for images of several classes (`label_sets`), and a loss for this task.

    Returns the changes, and a reason for the task if the data chose it.
    """
    task = changes.get("task", changes.get("task.name"))
    if task is None and not label_sets:
        return dict(changes), ""
    found = dict(changes) if task is not None else {"task.name": _MULTILABEL, **changes}
    if found.get("task", found.get("task.name")) == _MULTILABEL and not {"loss", "loss.name"} & set(found):
        found = {"loss.name": "binary_cross_entropy", **found}
    return found, "images of these data may have several classes" if task is None else ""


def follow_imbalance(plan: Plan, chosen: Collection[str], counts: Int64[np.ndarray, " k"]) -> Plan:
    """Return the plan with balanced accuracy as the metric by which weights are kept, where the classes call for it.

    They do if they are imbalanced by `striate.core.imbalance` (`counts` are those of the training images), the recipe
    evaluates a validation split by accuracy, and the user chose no metric. The reason is kept in the plan.
    """
    recipe = plan.recipe
    free = recipe.stop.metric == "accuracy" and recipe.task.name == "classification"
    validates = not isinstance(recipe.transfer, Features) and not cross_validates(recipe.transfer)
    if not free or not validates or {"stop", "stop.metric"} & set(chosen) or not is_imbalanced(counts):
        return plan
    metric = replace(recipe, stop=replace(recipe.stop, metric="balanced_accuracy"))
    why = (
        f"the largest class has {imbalance(counts):.3g} times as many training images as the smallest (at least "
        f"{UNEVEN:g}), and each class counts alike; stop.metric=accuracy counts each image alike"
    )
    return changed_recipe(plan, metric, stop=why)


_MULTILABEL = TASKS.name_of(Multilabel)


def _execution_of(path: Path) -> ExecutionPlan:
    checkpoint, _ = newest_checkpoint(Run(path).checkpoints)
    if checkpoint is None:
        raise RunError(f"{path} has no checkpoint with an execution plan.")
    return checkpoint.plan
