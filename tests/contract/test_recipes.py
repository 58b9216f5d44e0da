"""Every recipe at debug size: a small network, few images and few epochs, and all the rest as it is.

Its loss falls, and a training that is stopped and resumed has the state of one that was not, to the bit.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

import striate
from rehearsal.colours import two_colours
from striate.core.config import override
from striate.core.device import ExecutionPlan
from striate.core.duration import Duration
from striate.data.augmentation.augmentations import Flip, Shift
from striate.reporting import build
from striate.runs import train
from striate.runs.folder import Run
from striate.runs.paper_recipes import keras_cifar10, resnet_2015_cifar
from striate.runs.plan import Plan
from striate.runs.recipes import RECIPES
from striate.training import Position, SafePoint, newest_checkpoint, read_events

DEBUG = {"epochs": "4ep", "batch_size": 8, "input.height": 12, "input.width": 12, "precision": "float32"}
NETWORK = "conv3-8 relu pool2 fc16 relu"
DEEPER = "conv3-8 relu pool2 conv3-8 relu gap fc16 relu"  # with a convolution for each change of the initial weights


def _plan(*_: object, micro_batch: int | None, **__: object) -> ExecutionPlan:
    """Return the plan without the trials, which take seconds."""
    return ExecutionPlan(micro_batch=micro_batch)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Make 16 images of each of two colours; no report is written."""
    folder = tmp_path_factory.mktemp("recipes")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STRIATE_CACHE", str(folder / "cache"))
        patch.chdir(folder)
        patch.setattr(build, "write_run_report", lambda run: run.report_file)
        patch.setattr(train, "choose_plan", _plan)
        yield two_colours(folder / "photos", 16)


CRAFT: dict[str, dict[str, object]] = {
    "ema": {"average": "ema"},
    "swa": {"average": "swa"},
    "lookahead": {"average": "lookahead", "average.every_steps": 3},
    "plateau": {"schedule.name": "plateau", "schedule.patience": 1},
    "mixing": {"augmentation": "mixup,cutmix"},
    "balanced": {"sampling": "balanced"},
    "accumulation": {"memory.micro_batch": 3},
    "gradient rules": {"optimizer.gradient_noise": 0.01, "optimizer.sharpness": 0.05, "optimizer.max_norm": 3.0},
}
"""What a recipe may add, each to the recipe `photos`."""
SCALED: dict[str, dict[str, object]] = {
    "resnet_rs": {"optimizer.lr": 0.1 * 8 / 256},
    "cifar_fast": {"resizing.pixels": (9, 10)},
}
"""Rates that are made for far larger batches, and sides for larger images, as much smaller as these."""


def _state(run: Run) -> dict[str, bytes]:
    """Return everything that the last checkpoint of a run holds, but the time that was spent."""
    checkpoint, _ = newest_checkpoint(run.checkpoints)
    assert checkpoint is not None
    tensors = {name: value.numpy().tobytes() for name, value in checkpoint.tensors.items()}
    return tensors | {"rest": f"{checkpoint.clock.step} {checkpoint.averaged} {checkpoint.scalars}".encode()}


def _until(events: Generator[Any, None, Run], step: int) -> Run:
    """Follow a training to a step, where it is saved, and stop."""
    started = next(events)
    next(event for event in events if isinstance(event, SafePoint) and event.clock.step == step)
    events.close()
    return started.run


@pytest.mark.parametrize("name", [*(name for name in RECIPES if name != "transfer"), *CRAFT])
def test_the_loss_falls_and_a_stopped_training_ends_in_the_state_of_one_that_was_not(photos: Path, name: str) -> None:
    recipe, settings = ("photos", CRAFT[name]) if name in CRAFT else (name, SCALED.get(name, {}))
    model = DEEPER if RECIPES[recipe]().initial else NETWORK
    chosen: dict[str, Any] = {"recipe": recipe, "model": model, "device": "cpu", "set": {**DEBUG, **settings}}
    run = striate.train(photos, name=name, **chosen)
    losses = [event["loss"] for event in read_events(run.events_file) if event["event"] == "step"]
    steps = len(losses) // 4
    assert sum(losses[-steps:]) < 0.9 * sum(losses[:steps])
    stored, whole = Plan.read(run).recipe, override(RECIPES[recipe](), settings)
    for part in ("loss", "optimizer", "schedule", "initial", "average", "sampling", "augmentation", "memory", "stop"):
        assert getattr(stored, part) == getattr(whole, part)

    parts = _until(striate.train.events(photos, name=f"{name} in parts", **chosen), steps + 2)
    assert _state(parts) != _state(run)
    _until(striate.resume.events(parts), len(losses))
    assert _state(parts) == _state(run)


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
