"""The recipes that ship: each a function returning a `Recipe`, named after the kind of data that it suits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from striate.core.duration import Duration
from striate.core.registry import Registry
from striate.data.sources.opening import DATASETS, is_named
from striate.runs.recipe import (
    AugmentationChoice,
    InputChoice,
    OptimizerChoice,
    Recipe,
    ScheduleChoice,
    StopChoice,
)

RECIPES: Registry[Callable[[], Recipe]] = Registry("recipe")


def photos() -> Recipe:
    """Photos in folders, from a few hundred to some ten thousand: 64×64 pixels, a small VGG."""
    return Recipe(
        model="tiny_vgg",
        epochs=Duration.parse("60ep"),
        batch_size=32,
        input=InputChoice(height=64, width=64),
        optimizer=OptimizerChoice(name="adamw", lr=0.002, weight_decay=0.01),
        stop=StopChoice(metric="loss"),
    )


def digits() -> Recipe:
    """The 1,797 embedded digits: few and tiny, so many epochs, strong changes of place, and pictures of 32×32."""
    return Recipe(
        model="lenet5",
        epochs=Duration.parse("120ep"),
        batch_size=64,
        input=InputChoice(height=32, width=32),
        augmentation=AugmentationChoice(shift=0.1, rotation_degrees=10.0, scale=0.1),
        optimizer=OptimizerChoice(lr=0.05, momentum=0.9, nesterov=True, weight_decay=5e-4),
        schedule=ScheduleChoice(warmup_share=0.2),
        stop=StopChoice(keep="last"),
        evaluate_every=Duration.parse("2ep"),
    )


def mnist() -> Recipe:
    """Tens of thousands of grey pictures of 28×28, as MNIST and Fashion-MNIST: few epochs, one cycle."""
    return Recipe(
        model="lenet5",
        epochs=Duration.parse("5ep"),
        batch_size=128,
        augmentation=AugmentationChoice(shift=0.04, rotation_degrees=0.0, scale=0.0),
        optimizer=OptimizerChoice(lr=0.1, momentum=0.9, nesterov=True, weight_decay=5e-4),
        schedule=ScheduleChoice(warmup_share=0.2),
        stop=StopChoice(keep="last"),
    )


def cifar() -> Recipe:
    """Colour pictures of 32×32, as CIFAR-10 and -100."""
    base = photos()
    return replace(
        base,
        epochs=Duration.parse("20ep"),
        batch_size=128,
        input=InputChoice(),
        optimizer=replace(base.optimizer, lr=0.002 / 32 * 128),
        stop=StopChoice(keep="last"),
    )


for _recipe in (photos, digits, mnist, cifar):
    RECIPES.add(_recipe.__name__, _recipe)


def recipe_for(data: str | Path) -> str:
    """The name of the recipe that suits the data that a user names.

    A named data set has its own; any other data, a folder of the same name included, get the one for photos.
    """
    return DATASETS[data.partition(":")[0]].recipe if is_named(data) else "photos"
