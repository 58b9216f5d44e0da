"""Settings of a run: strict, with defaults that belong to the chosen thing, and a difference that says what changed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from striate.core.config import from_json, override, to_json
from striate.core.difference import difference
from striate.core.errors import ConfigError, RunError
from striate.data.augmentation.augmentations import Brightness, Cutout, Flip, FromData, Rotation, Scale, Shift
from striate.runs.folder import Run
from striate.runs.plan import Plan
from striate.runs.recipe import Recipe, read_recipe
from striate.runs.recipes import RECIPES, recipe_for
from striate.training.losses import CrossEntropy
from striate.training.optimizers import SGD, Adam, AdamW
from striate.training.schedules import OneCycle, Step


@pytest.mark.parametrize("name", list(RECIPES))
def test_every_recipe_survives_the_way_to_json_and_back(name: str) -> None:
    recipe = RECIPES[name]()
    assert from_json(Recipe, to_json(recipe)) == recipe


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ("lr=0.1", "There is no setting 'lr'. Did you mean 'optimizer.lr'?"),
        ("optimizer.lrr=0.1", "The optimizer 'sgd' has no option 'lrr'. Did you mean 'lr'?"),
        ("optimizer.name=adamm", "There is no optimizer 'adamm'. Did you mean 'adam'?"),
        ("optimizer=3", "There is no optimizer '3'."),
        ("epochs=-3", "must be above 0"),
        ("batch_size=0", "batch_size must be at least 1; received 0."),
        ("batch_size=many", "whole number"),
        ("optimizer.lr=fast", "optimizer.lr is a number; received 'fast'."),
        ("optimizer.lr=0", "optimizer.lr must be above 0; received 0."),
        ("optimizer.momentum=1.5", "optimizer.momentum must be at least 0 and below 1; received 1.5."),
        ("optimizer.momentum=0", "optimizer.nesterov needs momentum above 0"),
        ("schedule.warmup_fraction=1", "schedule.warmup_fraction must be at least 0 and below 1; received 1."),
        ("schedule.every_epochs=3", "The schedule 'one_cycle' has no option 'every_epochs'"),
        ("loss.margin=1", "The loss 'cross_entropy' has no option 'margin'"),
        ("loss.label_smoothing=1", "loss.label_smoothing must be at least 0 and below 1"),
        ("loss.auxiliary=-0.3", "loss.auxiliary must be at least 0; received -0.3."),
        ("augmentation.shift=0.9", "augmentation.shift.fraction must be at least 0 and at most 0.5; received 0.9."),
        ("augmentation.shift=lots", "augmentation.shift.fraction is a number; received 'lots'."),
        ("augmentation.sift=0.1", "There is no augmentation 'sift'. Did you mean 'shift'?"),
        ("augmentation.shift.degrees=9", "The augmentation 'shift' has no option 'degrees'. Known are: fraction."),
        ("augmentation.from_data=0.5", "augmentation.from_data has no options: set it to true or false"),
        ("augmentation=shift,from_data", "augmentation must hold from_data first"),
        ("flip=true", "Did you mean 'augmentation.flip'?"),
        ("input.height=0", "input.height must be at least 1; received 0."),
        ("input.crop=1.2", "input.crop must be above 0 and at most 1; received 1.2."),
        ("input.decode_scale=0.5", "input.decode_scale must be at least 1; received 0.5."),
        ("input.resize=squash", "stretch, cover, contain"),
        ("stop.patience=0", "stop.patience must be at least 1; received 0."),
        ("precision=float16", "auto, float32"),
        ("unreadable=2", "unreadable must be at least 0 and at most 1; received 2."),
        ("seed=-1", "seed must be at least 0; received -1."),
        ("batch_size", "key=value"),
    ],
)
def test_an_impossible_setting_is_one_sentence(setting: str, sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        override(RECIPES["digits"](), [setting])
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_plateau_needs_a_validation_split() -> None:
    changes = ["schedule.name=plateau", "weights=efficientnet_lite0", "transfer.name=full", "transfer.folds=3"]
    with pytest.raises(ConfigError, match=r"^schedule plateau follows the validation split, .*\(--folds 1\)\.$"):
        override(RECIPES["photos"](), changes)


def test_another_optimizer_brings_its_own_defaults_and_not_those_of_the_one_it_replaces() -> None:
    assert override(RECIPES["digits"](), ["optimizer.name=adam"]).optimizer == Adam()
    assert override(RECIPES["digits"](), ["optimizer=adam"]).optimizer == Adam()


def test_the_name_that_is_chosen_already_keeps_the_options_of_the_recipe() -> None:
    recipe = RECIPES["digits"]()
    assert override(recipe, ["optimizer.name=sgd", "optimizer.lr=0.1"]).optimizer == SGD(
        lr=0.1, momentum=0.9, nesterov=True, weight_decay=5e-4
    )


def test_options_of_another_thing_may_be_set_together_with_its_name_in_any_order() -> None:
    changes = ["schedule.every_epochs=5", "schedule.name=step"]
    first, second = (override(RECIPES["digits"](), order) for order in (changes, changes[::-1]))
    assert first == second
    assert first.schedule == Step(every_epochs=5.0)


def test_options_that_depend_on_another_are_checked_together() -> None:
    for changes in (
        ["optimizer.momentum=0", "optimizer.nesterov=no"],
        ["optimizer.nesterov=no", "optimizer.momentum=0"],
    ):
        assert override(RECIPES["digits"](), changes).optimizer == SGD(momentum=0.0, weight_decay=5e-4)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"augmentation.shift": 0.2}, (FromData(), Shift(fraction=0.2))),
        ({"augmentation.shift": "0.2"}, (FromData(), Shift(fraction=0.2))),
        ({"augmentation.shift": {"fraction": 0.2}}, (FromData(), Shift(fraction=0.2))),
        ({"augmentation.shift": Shift(fraction=0.2)}, (FromData(), Shift(fraction=0.2))),
        ({"augmentation.shift.fraction": 0.2}, (FromData(), Shift(fraction=0.2))),
        ({"augmentation.flip": "true"}, (FromData(), Flip())),
        ({"augmentation.flip": True}, (FromData(), Flip())),
        ({"augmentation.flip": "false"}, (FromData(), Flip(probability=0.0))),
        ({"augmentation.flip": "none"}, (FromData(), Flip(probability=0.0))),
        ({"augmentation.flip": None}, (FromData(), Flip(probability=0.0))),
        ({"augmentation.from_data": False}, ()),
        ({"augmentation": "none"}, ()),
        ({"augmentation": []}, ()),
        ({"augmentation": "flip,shift"}, (Flip(), Shift())),
        ({"augmentation": ["flip", {"name": "shift", "fraction": 0.2}]}, (Flip(), Shift(fraction=0.2))),
        ({"augmentation": [Flip(), Shift(fraction=0.2)]}, (Flip(), Shift(fraction=0.2))),
        ({"augmentation": "flip", "augmentation.scale": 0.3}, (Flip(), Scale(fraction=0.3))),
        (["augmentation=flip,shift", "augmentation.flip.probability=0.1"], (Flip(probability=0.1), Shift())),
    ],
)
def test_one_of_the_augmentations_or_all_of_them_can_be_set(changes: dict[str, object], expected: tuple) -> None:
    assert override(RECIPES["photos"](), changes).augmentation == expected


def test_an_augmentation_that_the_recipe_lists_is_changed_in_its_place() -> None:
    changed = override(RECIPES["digits"](), ["augmentation.rotation=20", "augmentation.brightness=0.1"])
    assert changed.augmentation == (
        FromData(),
        Shift(fraction=0.1),
        Rotation(degrees=20.0),
        Scale(fraction=0.1),
        Brightness(fraction=0.1),
    )


def test_the_difference_names_what_was_changed_and_nothing_else() -> None:
    base = RECIPES["digits"]()
    changed = override(base, ["optimizer.lr=0.2", "epochs=3", "augmentation.shift=0.2", "augmentation.flip=yes"])
    assert difference(changed, base) == {
        "epochs": (str(base.epochs), "3ep"),
        "optimizer.lr": (base.optimizer.lr, 0.2),
        "augmentation.shift.fraction": (0.1, 0.2),
        "augmentation.flip.probability": (None, 0.5),
    }
    exchanged = override(base, ["schedule.name=step", "schedule.every_epochs=5", "augmentation=scale,shift"])
    assert difference(exchanged, base) == {
        "schedule.name": ("one_cycle", "step"),
        "schedule.every_epochs": (None, 5.0),
        "augmentation.from_data": (True, None),
        "augmentation.rotation.degrees": (10.0, None),
        "augmentation": (["from_data", "shift", "rotation", "scale"], ["scale", "shift"]),
    }


def test_unknown_data_get_the_recipe_for_photos() -> None:
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
    recipe = override(RECIPES["photos"](), {"model": model})
    assert recipe.auxiliary_weight == weight
    assert override(recipe, {"loss.auxiliary": 0.1}).auxiliary_weight == 0.1


FORMAT_1 = {
    "model": "lenet5",
    "epochs": "4ep",
    "batch_size": 8,
    "input": {"height": 12, "width": None, "resize": "cover", "crop": 1.0, "decode_scale": 2.0},
    "augmentation": {
        "flip": False,
        "shift": None,
        "rotation_degrees": 10.0,
        "scale": 0.0,
        "brightness": None,
        "contrast": None,
        "cutout": 0.3,
    },
    "loss": {"name": "cross_entropy", "label_smoothing": 0.1, "margin": None, "auxiliary": None},
    "optimizer": {
        "name": "adamw",
        "lr": 0.002,
        "momentum": None,
        "nesterov": None,
        "betas": [0.8, 0.9],
        "epsilon": None,
        "weight_decay": 0.01,
        "l1": 0.0,
        "clip_norm": 1.0,
    },
    "schedule": {
        "name": "one_cycle",
        "warmup_share": 0.2,
        "start_factor": None,
        "final_factor": None,
        "every_epochs": None,
        "factor": None,
        "decay_per_epoch": None,
    },
    "stop": {"metric": "loss", "keep": "best", "patience": None},
    "evaluate_every": "1ep",
    "precision": "float32",
    "device": "cpu",
    "in_memory": True,
    "loader_threads": None,
    "unreadable": 0.05,
    "seed": 0,
}


def test_a_recipe_of_format_1_is_read_as_the_same_settings() -> None:
    recipe = read_recipe(FORMAT_1)
    assert recipe.augmentation == (
        FromData(),
        Flip(probability=0.0),
        Rotation(degrees=10.0),
        Scale(fraction=0.0),
        Cutout(fraction=0.3),
    )
    assert recipe.loss == CrossEntropy(label_smoothing=0.1)
    assert recipe.optimizer == AdamW(lr=0.002, betas=(0.8, 0.9), weight_decay=0.01, clip_norm=1.0)
    assert recipe.schedule == OneCycle(warmup_fraction=0.2)
    assert (recipe.input.height, recipe.stop.metric, recipe.batch_size) == (12, "loss", 8)
    assert read_recipe(to_json(recipe)) == recipe
    without = {"augmentation": {"flip": True}, "optimizer": {"name": "adam", "lr": None}}
    assert read_recipe(FORMAT_1 | without).optimizer == Adam()
    assert read_recipe(FORMAT_1 | without).augmentation == (FromData(), Flip())


def test_the_file_of_a_run_in_format_1_is_read_and_written_in_the_present_format(tmp_path: Path) -> None:
    run = Run(tmp_path)
    changed = {"augmentation.flip": [None, False], "optimizer.clip_norm": [None, 1.0]}
    stored = {"format": 1, "data": "/photos", "base": "photos", "difference": changed, "reasons": {"input": "as given"},
              "execution": None, "end_before": None, "recipe": FORMAT_1}  # fmt: skip
    run.recipe_file.write_text(json.dumps(stored), "utf-8")
    plan = Plan.read(run)
    assert plan.recipe == read_recipe(FORMAT_1)
    assert (plan.data, plan.base, plan.reasons) == ("/photos", "photos", {"input": "as given"})
    assert plan.difference == {key: tuple(pair) for key, pair in changed.items()}
    plan.write(run)
    assert json.loads(run.recipe_file.read_text("utf-8"))["format"] == 2
    assert Plan.read(run) == plan


def test_a_file_of_a_later_format_is_refused(tmp_path: Path) -> None:
    Run(tmp_path).recipe_file.write_text('{"format": 3}', "utf-8")
    with pytest.raises(RunError, match="has format 3; this version of Striate reads formats 1 and 2"):
        Plan.read(Run(tmp_path))
