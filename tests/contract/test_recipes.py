"""Every recipe at debug size: a small network, few images and few epochs, and all the rest as it is; its loss falls."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import striate
from rehearsal.colours import two_colours
from striate.core.duration import Duration
from striate.data.augmentation.augmentations import Flip, Shift
from striate.reporting import build
from striate.runs.paper_recipes import keras_cifar10, resnet_2015_cifar
from striate.runs.plan import Plan
from striate.runs.recipes import RECIPES
from striate.training import Position, read_events

DEBUG = {"epochs": "4ep", "batch_size": 8, "input.height": 12, "input.width": 12, "precision": "float32"}
NETWORK = "conv3-8 relu pool2 fc16 relu"


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Make 16 images of each of two colours; no report is written."""
    folder = tmp_path_factory.mktemp("recipes")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STRIATE_CACHE", str(folder / "cache"))
        patch.chdir(folder)
        patch.setattr(build, "write_run_report", lambda run: run.report_file)
        yield two_colours(folder / "photos", 16)


@pytest.mark.parametrize("name", [name for name in RECIPES if name != "transfer"])
def test_the_loss_of_every_recipe_falls(photos: Path, name: str) -> None:
    run = striate.train(photos, recipe=name, model=NETWORK, device="cpu", name=name, set=DEBUG)
    losses = [event["loss"] for event in read_events(run.events_file) if event["event"] == "step"]
    steps = len(losses) // 4
    assert sum(losses[-steps:]) < 0.9 * sum(losses[:steps])
    recipe, whole = Plan.read(run).recipe, RECIPES[name]()
    for part in ("loss", "optimizer", "schedule", "augmentation", "stop"):
        assert getattr(recipe, part) == getattr(whole, part)


def test_the_rate_of_the_keras_recipe_is_that_of_the_book() -> None:
    recipe = keras_cifar10()
    steps = 1563
    for step in (0, 1, steps, 25 * steps - 1):
        factor = recipe.schedule(Position(epochs=step / steps, fraction=0.0))
        assert factor == pytest.approx(1 / (1 + 0.01 / 25 * step), rel=1e-12)


def test_the_rate_of_the_residual_networks_changes_after_32000_and_48000_steps() -> None:
    recipe = resnet_2015_cifar()
    factors = [recipe.schedule(Position(step / 352, 0.0)) for step in (31_999, 32_000, 47_999, 48_000, 63_999)]
    assert factors == pytest.approx([1, 0.1, 0.1, 0.01, 0.01])
    assert recipe.epochs == Duration(64_000.0, "st")
    assert recipe.augmentation == (Shift(fraction=0.125), Flip())
