"""What is registered is one of the choices at once: from texts, Python, a command and a recipe's file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.optim import Optimizer

import striate
from rehearsal.colours import two_colours
from striate.cli.main import main
from striate.core.config import from_json, override, to_json
from striate.core.errors import ConfigError
from striate.data.augmentation.augmentations import AUGMENTATIONS, Photometric
from striate.data.preparation.measure import InputSettings
from striate.reporting import build
from striate.runs.events import RunStarted
from striate.runs.folder import Run
from striate.runs.recipe import Recipe, StopSettings
from striate.runs.recipes import RECIPES
from striate.training import (
    LOSSES,
    OPTIMIZERS,
    SCHEDULES,
    Loss,
    OptimizerSettings,
    Position,
    SafePoint,
    Schedule,
    read_events,
)


@dataclass(frozen=True, kw_only=True)
class Hardened(Loss):
    """Cross-entropy to which easy samples add little.

    Args:
        gamma: exponent.
    """

    gamma: float = 2.0

    def __call__(self, logits: Tensor, targets: Tensor) -> Tensor:
        each = cross_entropy(logits, targets, reduction="none")
        return ((1 - (-each).exp()) ** self.gamma * each).mean()


@dataclass(frozen=True, kw_only=True)
class SignDescent(OptimizerSettings):
    """Steps of the sign of the gradient; the learning rate has no default."""

    dead_zone: float = 0.0

    def build(self, groups: list[dict[str, Any]]) -> Optimizer:
        return _Signs(groups, {"dead_zone": self.dead_zone})


class _Signs(Optimizer):
    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    moved = parameter.grad.sign() * (parameter.grad.abs() > group["dead_zone"])
                    parameter.sub_(group["lr"] * moved)


@dataclass(frozen=True, kw_only=True)
class Linear(Schedule):
    """From 1 down to `end`."""

    end: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.end <= 1:
            raise ConfigError(f"end must be from 0 to 1; received {self.end:g}.")

    def __call__(self, position: Position) -> float:
        return 1 - (1 - self.end) * position.fraction


@dataclass(frozen=True, kw_only=True)
class Haze(Photometric):
    """One added value for all pixels of an image."""

    level: float = 0.1
    shift: float = 0.0

    def apply(self, images: Tensor, draws: np.ndarray, blank: Sequence[float]) -> Tensor:
        haze = torch.from_numpy(self.shift + self.level * draws[:, 0]).to(images)
        return images + haze.view(-1, 1, 1, 1)


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Register the above for one test."""
    for registry in (LOSSES, OPTIMIZERS, SCHEDULES, AUGMENTATIONS):
        monkeypatch.setattr(registry, "_entries", dict(registry._entries))
    LOSSES.add("hardened", Hardened)
    OPTIMIZERS.add("signs", SignDescent)
    SCHEDULES.add("linear", Linear)
    AUGMENTATIONS.add("haze", Haze)


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make ten noisy images of each of two colours; no report is written."""
    monkeypatch.setenv("STRIATE_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(build, "write_run_report", lambda run: run.report_file)
    return two_colours(tmp_path / "photos", 10)


PLAIN = {"epochs": "2ep", "batch_size": 8, "input.height": 12, "input.width": 12, "precision": "float32"}
NETWORK = "conv3-4 relu pool2 fc8 relu"
CHOSEN = {
    "loss.gamma": 1.5,
    "loss.name": "hardened",
    "optimizer.name": "signs",
    "optimizer.lr": 0.01,
    "optimizer.dead_zone": 1e-6,
    "schedule.name": "linear",
    "schedule.end": 0.5,
    "augmentation.haze": 0.3,
    "augmentation.haze.shift": 0.05,
}
EXPECTED = {
    "loss": Hardened(gamma=1.5),
    "optimizer": SignDescent(lr=0.01, dead_zone=1e-6),
    "schedule": Linear(end=0.5),
    "augmentation.haze": Haze(level=0.3, shift=0.05),
}


def texts(chosen: dict[str, Any]) -> list[str]:
    return [f"{key}={value}" for key, value in chosen.items()]


def train(photos: Path, name: str, chosen: Any) -> Run:
    return striate.train(photos, model=NETWORK, device="cpu", name=name, set=chosen)


def weights(run: Run) -> bytes:
    return (run.path / "classifier" / "model.safetensors").read_bytes()


def test_new_things_train_the_same_from_texts_from_python_from_a_command_and_from_a_file(photos: Path) -> None:
    run = train(photos, "texts", texts(PLAIN | CHOSEN))
    recipe = from_json(Recipe, next(iter(read_events(run.events_file)))["recipe"])
    assert (recipe.loss, recipe.optimizer, recipe.schedule) == tuple(EXPECTED.values())[:3]
    assert recipe.augmentation[-1] == EXPECTED["augmentation.haze"]

    assert weights(train(photos, "python", PLAIN | EXPECTED)) == weights(run)

    words = [word for text in texts(PLAIN | CHOSEN) for word in ("--set", text)]
    with pytest.raises(SystemExit) as ended:
        main(["train", str(photos), "--model", NETWORK, "--device", "cpu", "--name", "command", "--quiet", *words])
    assert ended.value.code == 0
    assert weights(Run(Path("runs/command"))) == weights(run)

    events = striate.train.events(photos, model=NETWORK, device="cpu", name="file", set=PLAIN | CHOSEN)
    stopped = next(event.run for event in events if isinstance(event, RunStarted))
    next(event for event in events if isinstance(event, SafePoint) and event.clock.epochs == 1)
    events.close()
    assert weights(striate.resume(stopped)) == weights(run)


@pytest.mark.parametrize("left_out", ["loss", "optimizer", "schedule", "augmentation"])
def test_each_of_the_new_things_changes_the_training(photos: Path, left_out: str) -> None:
    chosen = {key: value for key, value in CHOSEN.items() if not key.startswith(left_out)}
    usual = {"optimizer.name": "sgd", "optimizer.lr": 0.01} if left_out == "optimizer" else {}
    runs = [train(photos, name, PLAIN | settings) for name, settings in (("all", CHOSEN), ("less", chosen | usual))]
    assert weights(runs[0]) != weights(runs[1])


def test_a_recipe_is_made_of_instances_and_survives_the_way_to_json_and_back() -> None:
    recipe = Recipe(
        model="lenet5",
        epochs=RECIPES["digits"]().epochs,
        input=InputSettings(height=32),
        augmentation=(Haze(level=0.3, shift=0.05),),
        loss=Hardened(gamma=1.5),
        optimizer=SignDescent(lr=0.1),
        schedule=Linear(),
        stop=StopSettings(keep="last"),
    )
    stored = to_json(recipe)
    assert stored["loss"] == {"name": "hardened", "auxiliary": None, "gamma": 1.5}
    assert stored["augmentation"] == [{"name": "haze", "level": 0.3, "shift": 0.05}]
    assert from_json(Recipe, stored) == recipe


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (["loss.name=hardned"], "There is no loss 'hardned'. Did you mean 'hardened'?"),
        (["loss.name=hardened", "loss.gama=1"], "The loss 'hardened' has no option 'gama'. Did you mean 'gamma'?"),
        (["loss.name=hardened", "loss.gamma=much"], "loss.gamma is a number; received 'much'."),
        (["optimizer.name=signs"], "The setting 'optimizer.lr' is missing."),
        (["schedule.name=linear", "schedule.end=2"], "schedule.end must be from 0 to 1; received 2."),
        (["augmentation.haze.levl=1"], "The augmentation 'haze' has no option 'levl'. Did you mean 'level'?"),
        (["gamma=1"], "Did you mean 'loss.gamma'?"),
    ],
)
def test_options_of_new_things_are_checked_like_those_of_others(changes: list[str], sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        override(RECIPES["digits"](), changes)
    assert sentence in str(caught.value)


def test_an_unregistered_type_cannot_be_stored() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Unknown(Linear):
        pass

    with pytest.raises(ConfigError, match=r"Unknown.* is not a registered schedule\. Register it first"):
        to_json(Unknown())
