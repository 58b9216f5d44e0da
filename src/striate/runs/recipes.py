"""The recipes that ship: functions returning a `Recipe`, named by the data that each suits, or by its origin."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from striate.core.duration import Duration
from striate.core.registry import Registry
from striate.data.augmentation.augmentations import FromData, Rotation, Scale, Shift
from striate.data.preparation.measure import InputSettings
from striate.data.sources.opening import DATASETS, is_named
from striate.runs.fast_recipes import cifar_fast, fashion, mnist_fast
from striate.runs.paper_recipes import (
    alexnet_2012,
    dogs_and_cats,
    keras_cifar10,
    resnet_2015,
    resnet_2015_cifar,
    resnet_rs,
    vgg_2014,
)
from striate.runs.recipe import Recipe, StopSettings
from striate.runs.transfer import DEFAULT, Auto
from striate.training.optimizers import SGD, AdamW
from striate.training.schedules import OneCycle

RECIPES: Registry[Callable[[], Recipe]] = Registry("recipe")


def photos() -> Recipe:
    """Photos in folders, from a few hundred to some ten thousand: 64×64 pixels, a small VGG."""
    return Recipe(
        model="tiny_vgg",
        epochs=Duration.parse("60ep"),
        batch_size=32,
        input=InputSettings(height=64, width=64),
        optimizer=AdamW(lr=0.002, weight_decay=0.01),
        stop=StopSettings(metric="loss"),
    )


def transfer() -> Recipe:
    """Photos in folders, few or many: starts from ImageNet weights."""
    base = photos()
    return replace(
        base,
        model=DEFAULT.partition(".")[0],
        weights=DEFAULT,
        transfer=Auto(),
        epochs=Duration.parse("10ep"),
        input=InputSettings(),
    )


def digits() -> Recipe:
    """Embedded digits, 1,797 small images: many epochs, strong geometric augmentation, 32×32 pixels."""
    return Recipe(
        model="lenet5",
        epochs=Duration.parse("120ep"),
        batch_size=64,
        input=InputSettings(height=32, width=32),
        augmentation=(FromData(), Shift(fraction=0.1), Rotation(degrees=10.0), Scale(fraction=0.1)),
        optimizer=SGD(lr=0.05, momentum=0.9, nesterov=True, weight_decay=5e-4),
        schedule=OneCycle(warmup_fraction=0.2),
        stop=StopSettings(keep="last"),
        evaluate_every=Duration.parse("2ep"),
    )


def mnist() -> Recipe:
    """Tens of thousands of grey images of 28×28, as MNIST and Fashion-MNIST: few epochs, one cycle."""
    return Recipe(
        model="lenet5",
        epochs=Duration.parse("5ep"),
        batch_size=128,
        augmentation=(FromData(), Shift(fraction=0.04), Rotation(degrees=0.0), Scale(fraction=0.0)),
        optimizer=SGD(lr=0.1, momentum=0.9, nesterov=True, weight_decay=5e-4),
        schedule=OneCycle(warmup_fraction=0.2),
        stop=StopSettings(keep="last"),
    )


def cifar() -> Recipe:
    """Colour images of 32×32, as CIFAR-10 and -100."""
    base = photos()
    return replace(
        base,
        epochs=Duration.parse("20ep"),
        batch_size=128,
        input=InputSettings(),
        optimizer=replace(base.optimizer, lr=0.002 / 32 * 128),
        stop=StopSettings(keep="last"),
    )


for _recipe in (
    photos, transfer, digits, mnist, cifar, cifar_fast, fashion, mnist_fast,
    alexnet_2012, dogs_and_cats, keras_cifar10, resnet_2015, resnet_2015_cifar, resnet_rs, vgg_2014,
):  # fmt: skip
    RECIPES.add(_recipe.__name__, _recipe)


def recipe_for(data: str | Path) -> str:
    """Return the name of the recipe for the data that a user names.

    A named data set has its own. All other data, also a folder of the same name, have the one for photos.
    """
    return DATASETS[data.partition(":")[0]].recipe if is_named(data) else "photos"
