"""What is in effect in a run, given or not, is said with its reason; and a network's own size is followed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import striate
from striate.cli.show.display import started
from striate.core.config import override
from striate.core.device import ExecutionPlan
from striate.core.difference import difference
from striate.core.spec import GREY, RGB, InputSpec, LabelSpec
from striate.runs import train
from striate.runs.effect import settings_in_effect
from striate.runs.events import RunStarted
from striate.runs.plan import Plan
from striate.runs.recipes import RECIPES


def in_effect(
    *changes: str, recipe: str = "photos", channels: tuple[str, ...] = RGB, classes: tuple[str, ...] = ("cat", "dog")
) -> dict[str, tuple[str, str]]:
    base = RECIPES[recipe]()
    changed = override(base, changes)
    plan = Plan(recipe=changed, base=recipe, data="photos", difference=difference(changed, base))
    count = len(channels)
    spec = InputSpec(channels=channels, height=64, width=48, mean=(0.5,) * count, std=(0.25,) * count)
    return {each.name: (each.value, each.reason) for each in settings_in_effect(plan, spec, LabelSpec(classes))}


def test_augmentation_that_follows_from_the_data_is_said_with_its_reason() -> None:
    value, reason = in_effect()["augment"]
    assert value.startswith("flip 0.5, shift 0.1, scale 0.1")
    assert reason.startswith("from the data; flip: ")
    value, reason = in_effect(classes=("turn_left", "turn_right"))["augment"]
    assert "flip" not in value
    assert "no flip: the class name 'turn_left' mentions a side" in reason
    value, _ = in_effect(channels=GREY)["augment"]
    assert "rotation 8" in value
    assert in_effect("augmentation.flip=true", channels=GREY)["augment"][1].endswith("flip given")
    assert in_effect("augmentation=shift")["augment"] == ("shift 0.1", "by recipe or option")
    assert in_effect("augmentation=none")["augment"] == ("none", "by recipe or option")


def test_the_learning_rate_that_another_optimizer_brings_is_said() -> None:
    value, reason = in_effect("optimizer.name=adam")["optimizer"]
    assert "lr 0.001" in value
    assert "betas 0.9, 0.999" in value
    assert reason == "learning rate 0.001, the default of adam"
    assert in_effect()["optimizer"][1] == "learning rate 0.002, by recipe or option"


def test_input_mean_schedule_and_class_weights_are_said() -> None:
    said = in_effect()
    assert said["input"][0] == "3×64×48"
    assert said["mean"] == ("0.5, 0.5, 0.5", "measured on the training images")
    assert said["schedule"][0] == "one_cycle (warmup_fraction 0.3, start_factor 0.04, final_factor 0)"
    assert "no class weights" in said["loss"][1]
    assert "inverse of their effective numbers" in in_effect("loss.class_balance=0.9")["loss"][1]
    assert "sampling" not in said
    assert in_effect("sampling=balanced")["sampling"] == ("balanced", "each class is drawn equally often")
    assert said["keeps"][0] == "the best weights by validation loss"


@pytest.mark.parametrize(
    ("side", "options", "size", "words"),
    [
        (100, {"model": "squeezenet1_1"}, (100, 100), "made for 224×224, and the images' median shorter side is 100"),
        (40, {"model": "lenet5_rgb"}, (32, 32), "lenet5_rgb is made for 32×32"),
        (40, {"model": "squeezenet1_1"}, (64, 64), "median shorter side is 40"),
        (100, {"model": "squeezenet1_1", "size": 72}, (72, 72), "by recipe or option"),
        (100, {"model": "squeezenet1_1", "size": "56x72"}, (56, 72), "by recipe or option"),
        (100, {"weights": "none"}, (64, 64), "by recipe or option"),
    ],
)
def test_the_size_that_a_network_is_made_for_is_followed_where_the_images_allow_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, side: int, options: dict, size: tuple[int, int], words: str
) -> None:
    monkeypatch.setenv("STRIATE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(train, "choose_plan", lambda *_, **__: ExecutionPlan())  # a trial of them would take seconds
    draws = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(5):
            pixels = draws.integers(0, 255, (side, side + 20, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "photos" / name / f"{number}.png")
    events = striate.train.events(
        tmp_path / "photos", epochs=1, runs=tmp_path, precision="float32", device="cpu", **options
    )
    found = next(event for event in events if isinstance(event, RunStarted))
    events.close()
    assert found.input.size == size
    assert words in started(found)
    assert Plan.read(found.run) == found.plan
