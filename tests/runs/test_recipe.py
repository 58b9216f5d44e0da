"""Settings of a run: strict, with defaults that belong to the chosen rule, and a difference that says what changed."""

from __future__ import annotations

from pathlib import Path

import pytest

from striate.core.config import difference, from_json, to_json
from striate.core.errors import ConfigError
from striate.data.augmentation.augment import Augmentation
from striate.runs.recipe import AugmentationChoice, LossChoice, Recipe
from striate.runs.recipes import RECIPES, recipe_for


@pytest.mark.parametrize("name", list(RECIPES))
def test_every_recipe_survives_the_way_to_json_and_back(name: str) -> None:
    recipe = RECIPES[name]()
    assert from_json(Recipe, to_json(recipe)) == recipe


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ("lr=0.1", "Did you mean 'optimizer.lr'"),
        ("optimizer.lrr=0.1", "Did you mean 'optimizer.lr'"),
        ("epochs=-3", "more than nothing"),
        ("batch_size=0", "at least 1"),
        ("batch_size=many", "whole number"),
        ("optimizer.lr=fast", "number"),
        ("optimizer.lr=0", "more than 0"),
        ("optimizer.momentum=1.5", "momentum"),
        ("schedule.warmup_share=1", "warmup_share"),
        ("schedule.every_epochs=3", "no option 'every_epochs'"),
        ("loss.margin=1", "no option 'margin'"),
        ("loss.label_smoothing=1", "label_smoothing"),
        ("loss.auxiliary=-0.3", "at least 0"),
        ("augmentation.shift=0.9", "shift"),
        ("input.height=0", "at least 1 pixel"),
        ("input.crop=1.2", "at most 1"),
        ("input.resize=squash", "stretch, cover, contain"),
        ("stop.patience=0", "at least 1"),
        ("precision=float16", "auto, float32"),
        ("seed=-1", "at least 0"),
        ("batch_size", "key=value"),
    ],
)
def test_an_impossible_setting_is_one_sentence(setting: str, sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        RECIPES["digits"]().changed([setting])
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_another_optimizer_brings_its_own_defaults_and_not_those_of_the_one_it_replaces() -> None:
    recipe = RECIPES["digits"]().changed(["optimizer.name=adam"])
    assert recipe.optimizer.momentum is None
    assert recipe.optimizer.rate == 1e-3


def test_options_of_another_rule_may_be_set_together_with_its_name_in_any_order() -> None:
    changes = ["schedule.every_epochs=5", "schedule.name=step"]
    assert RECIPES["digits"]().changed(changes) == RECIPES["digits"]().changed(changes[::-1])


def test_the_difference_names_what_was_changed_and_nothing_else() -> None:
    base = RECIPES["digits"]()
    changed = base.changed(["optimizer.lr=0.2", "epochs=3"])
    assert difference(changed, base) == {"epochs": (str(base.epochs), "3ep"), "optimizer.lr": (base.optimizer.lr, 0.2)}


def test_what_is_not_chosen_of_the_augmentation_follows_from_the_data() -> None:
    default = Augmentation(flip=True, shift=0.1, brightness=0.2)
    assert AugmentationChoice(flip=False).over(default) == Augmentation(flip=False, shift=0.1, brightness=0.2)


def test_data_that_nobody_knows_get_the_recipe_for_photos() -> None:
    assert recipe_for("holiday") == "photos"
    assert recipe_for("shapes:count=20") == "photos"


@pytest.mark.parametrize(
    ("name", "recipe"),
    [("digits", "digits"), ("mnist", "mnist"), ("fashion-mnist", "mnist"), ("cifar10", "cifar"), ("cifar100", "cifar")],
)
def test_a_named_data_set_has_its_recipe_and_a_folder_of_that_name_the_one_for_photos(name: str, recipe: str) -> None:
    assert recipe_for(name) == recipe
    assert recipe in RECIPES
    for folder in (f"./{name}", f"data/{name}", Path(name), f"/photos/{name}/"):
        assert recipe_for(folder) == "photos"


@pytest.mark.parametrize(("model", "weight"), [("nasnet_mobile", 0.4), ("googlenet", 0.3), ("inception_v3", 0.3)])
def test_an_auxiliary_classifier_counts_as_its_authors_have_it_unless_a_weight_is_given(
    model: str, weight: float
) -> None:
    assert LossChoice().auxiliary_weight(model) == weight
    assert LossChoice(auxiliary=0.1).auxiliary_weight(model) == 0.1
