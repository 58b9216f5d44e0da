"""The settings of a run as they are in effect, each with its reason: given, following from the data, or a default."""

from __future__ import annotations

from dataclasses import Field, dataclass, fields
from typing import Any

from striate.core.registry import Registered
from striate.core.spec import InputSpec, LabelSpec
from striate.data.augmentation.augment import augmentations_in_effect, default_augmentations
from striate.data.augmentation.augmentations import Augmentation, FromData
from striate.data.augmentation.mirroring import mirroring
from striate.data.sources.named_registry import OWN_LOADERS
from striate.runs.plan import Plan
from striate.runs.recipe import Recipe
from striate.runs.transfer import Features
from striate.training.losses import Balanced


@dataclass(frozen=True)
class Effective:
    """A setting in effect, in words, and its reason."""

    name: str
    value: str
    reason: str


def settings_in_effect(plan: Plan, spec: InputSpec, labels: LabelSpec) -> tuple[Effective, ...]:
    """Return the settings that a run on images of `spec` with `labels` uses, in the order of its work."""
    recipe = plan.recipe
    optimizer = recipe.optimizer
    exchanged = "optimizer.name" in plan.difference and optimizer.lr == _options(optimizer)["lr"].default
    rate = f"the default of {optimizer.name}" if exchanged else "by recipe or option"
    last = recipe.stop.keep == "last"
    measured = "measured on the training images" if recipe.weights is None else f"those of {recipe.weights}"
    if isinstance(recipe.transfer, Features):
        return (
            Effective("input", "×".join(map(str, spec.shape)), plan.reasons.get("input") or _size_reason(recipe)),
            *_transfer(plan),
            Effective("fits", "to the optimum", "a linear classifier on features needs no epochs and no augmentation"),
        )
    chosen_by = "no epoch is chosen" if last else "so validation images choose the epoch"
    return (
        Effective("input", "×".join(map(str, spec.shape)), plan.reasons.get("input") or _size_reason(recipe)),
        Effective("mean", _numbers(spec.mean), measured),
        Effective("std", _numbers(spec.std), measured),
        *_transfer(plan),
        *(Effective("initial", _words(each), "by recipe or option") for each in recipe.initial),
        _augmentation(plan, spec, labels),
        *_sampling(recipe),
        Effective("loss", _words(recipe.loss), _weighting(recipe)),
        Effective("optimizer", _words(optimizer), f"learning rate {optimizer.lr:g}, {rate}"),
        Effective("schedule", _words(recipe.schedule), f"over {recipe.epochs}, batches of {recipe.batch_size}"),
        *_average(recipe),
        *_stages(recipe),
        Effective(
            "keeps",
            "the last weights" if last else f"the best weights by validation {recipe.stop.metric.replace('_', ' ')}",
            chosen_by if last else plan.reasons.get("stop", chosen_by),
        ),
    )


def _transfer(plan: Plan) -> tuple[Effective, ...]:
    recipe = plan.recipe
    reason = plan.reasons.get("transfer")
    if recipe.weights is None:
        return (Effective("weights", "random", reason),) if reason else ()
    return (
        Effective("weights", recipe.weights, "of another training, where this one starts"),
        Effective("transfer", _words(recipe.transfer), reason or "by recipe or option"),
    )


def _average(recipe: Recipe) -> tuple[Effective, ...]:
    if recipe.average is None:
        return ()
    return (Effective("average", _words(recipe.average), "its weights are evaluated and kept"),)


def _sampling(recipe: Recipe) -> tuple[Effective, ...]:
    if not recipe.sampling.by_class:
        return ()
    return (Effective("sampling", _words(recipe.sampling), "each class is drawn equally often"),)


def _weighting(recipe: Recipe) -> str:
    if isinstance(recipe.loss, Balanced) and recipe.loss.class_balance:
        return "classes are weighted by the inverse of their effective numbers of images"
    return "no class weights: each image counts alike"


def _stages(recipe: Recipe) -> tuple[Effective, ...]:
    found = []
    if recipe.resizing is not None:
        found.append(Effective("resizing", _words(recipe.resizing), "validation and test images have the full size"))
    if recipe.freezing is not None:
        found.append(Effective("freezing", _words(recipe.freezing), "layers end their training one after another"))
    return tuple(found)


def _size_reason(recipe: Recipe) -> str:
    given = recipe.input.height is not None or recipe.input.width is not None
    return "by recipe or option" if given else "the size of most images, or their median shorter side, at most 64"


def _augmentation(plan: Plan, spec: InputSpec, labels: LabelSpec) -> Effective:
    if plan.data == OWN_LOADERS:
        return Effective("augment", "none here", "your loaders prepare the batches")
    listed = plan.recipe.augmentation
    used = augmentations_in_effect(listed, spec, labels.classes)
    value = ", ".join(map(_brief, used)) or "none"
    given = {each.name for each in listed if not isinstance(each, FromData)}
    if len(given) == len(listed):
        return Effective("augment", value, "by recipe or option")
    judged = mirroring(spec, labels.classes)
    usual = {each.name for each in default_augmentations(spec, labels.classes) if each.active}
    flip = "flip given" if "flip" in given else f"{'flip' if 'flip' in usual else 'no flip'}: {judged.reason}"
    return Effective("augment", value, f"from the data{' but what is given' if given else ''}; {flip}")


def _brief(augmentation: Augmentation) -> str:
    return " ".join([augmentation.name, *(_plain(getattr(augmentation, name)) for name in _options(augmentation))])


def _words(chosen: Registered) -> str:
    values = {name: getattr(chosen, name) for name in _options(chosen)}
    options = ", ".join(f"{name} {_plain(value)}" for name, value in values.items() if value is not None)
    return chosen.name + (f" ({options})" if options else "")


def _options(chosen: Any) -> dict[str, Field[Any]]:
    return {option.name: option for option in fields(chosen)}


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return ", ".join(map(_plain, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def _numbers(values: tuple[float, ...]) -> str:
    return ", ".join(f"{value:.4g}" for value in values)
