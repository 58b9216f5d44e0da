"""The settings of a run as they are in effect: what was given, what follows from the data, and what is a default."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from striate.core.registry import Registry
from striate.core.spec import InputSpec, LabelSpec
from striate.data.augmentation.augment import default_augmentation
from striate.data.augmentation.mirroring import mirroring
from striate.data.sources.named_registry import OWN_LOADERS
from striate.runs.folder import Plan
from striate.runs.recipe import Recipe, given
from striate.training import LOSSES, OPTIMIZERS, SCHEDULES

_CHOSEN: Mapping[str, Registry[Callable[..., Any]]] = {
    "loss": LOSSES,
    "optimizer": OPTIMIZERS,
    "schedule": SCHEDULES,
}

_UNSET = {
    "loader_threads": "one per core",
    "loss.auxiliary": "default: the authors' weight, where the network has any",
    "optimizer.clip_norm": "none",
}


@dataclass(frozen=True)
class Effective:
    """One thing that is in effect, in words, and where it comes from."""

    name: str
    value: str
    reason: str


def settings_in_effect(plan: Plan, spec: InputSpec, labels: LabelSpec) -> tuple[Effective, ...]:
    """What a run on images of `spec` with `labels` does, in the order of its work."""
    recipe = plan.recipe
    rate = "by recipe or option" if recipe.optimizer.lr is not None else f"the default of {recipe.optimizer.name}"
    last = recipe.stop.keep == "last"
    chosen_by = "no epoch is chosen" if last else "so validation images choose the epoch"
    return (
        Effective("input", "×".join(map(str, spec.shape)), plan.reasons.get("input") or _size_reason(recipe)),
        Effective("mean", _numbers(spec.mean), "measured on the training images"),
        Effective("std", _numbers(spec.std), "measured on the training images"),
        _augmentation(plan, spec, labels),
        Effective("loss", _words("loss", recipe), "no class weights: each image counts alike"),
        Effective("optimizer", _words("optimizer", recipe), f"learning rate {recipe.optimizer.rate:g}, {rate}"),
        Effective("schedule", _words("schedule", recipe), f"over {recipe.epochs}, batches of {recipe.batch_size}"),
        Effective(
            "keeps", "the last weights" if last else f"the best weights by validation {recipe.stop.metric}", chosen_by
        ),
    )


def options_in_effect(group: str, recipe: Recipe) -> dict[str, Any]:
    """The options of the loss, the optimizer or the schedule: those given, and the defaults of the others."""
    choice = getattr(recipe, group)
    parameters = inspect.signature(_CHOSEN[group][choice.name]).parameters.values()
    found = {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}
    if group == "optimizer":
        found = {"lr": choice.rate, "weight_decay": choice.weight_decay, **found}
    chosen = given(choice, "name")
    return {name: chosen.get(name, default) for name, default in found.items()}


def default_in_words(key: str, recipe: Recipe) -> str:
    """What stands behind a setting that the recipe does not give: a default, the data, or nothing."""
    group, _, name = key.rpartition(".")
    if key in _UNSET:
        return _UNSET[key]
    if group in _CHOSEN:
        options = options_in_effect(group, recipe)
        return f"default: {_plain(options[name])}" if name in options else "–"
    if group == "augmentation" or key in ("input.height", "input.width"):
        return "from the data"
    return "none"


def _size_reason(recipe: Recipe) -> str:
    given_size = recipe.input.height is not None or recipe.input.width is not None
    return "by recipe or option" if given_size else "the size of most images, or their median shorter side, at most 64"


def _augmentation(plan: Plan, spec: InputSpec, labels: LabelSpec) -> Effective:
    if plan.data == OWN_LOADERS:
        return Effective("augment", "none here", "your loaders prepare the batches")
    default = default_augmentation(spec, labels.classes)
    used = plan.recipe.augmentation.over(default)
    active = ", ".join(
        name if getattr(used, name) is True else f"{name} {getattr(used, name):g}" for name in used.active
    )
    chosen = given(plan.recipe.augmentation)
    origin = "all given" if len(chosen) == len(fields(used)) else "from the data but what is given" if chosen else ""
    judged = mirroring(spec, labels.classes)
    flip = "flip given" if "flip" in chosen else f"{'flip' if default.flip else 'no flip'}: {judged.reason}"
    return Effective("augment", active or "none", "; ".join(filter(None, [origin or "from the data", flip])))


def _words(group: str, recipe: Recipe) -> str:
    options = ", ".join(f"{name} {_plain(value)}" for name, value in options_in_effect(group, recipe).items())
    return f"{getattr(recipe, group).name}" + (f" ({options})" if options else "")


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return _numbers(value) if isinstance(value, tuple) else f"{value:g}" if isinstance(value, float) else str(value)


def _numbers(values: tuple[float, ...]) -> str:
    return ", ".join(f"{value:.4g}" for value in values)
