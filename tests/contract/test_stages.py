"""Progressive resizing and freezing: what each registered kind promises, also of a run that is resumed."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import striate
from rehearsal.colours import two_colours
from rehearsal.small import MadeBatches, make_model, make_state, weights
from striate.core.config import from_json, override
from striate.core.device import ExecutionPlan
from striate.core.duration import Duration
from striate.core.errors import ConfigError
from striate.core.spec import GREY, InputSpec
from striate.models import OWN_MODELS
from striate.reporting import build
from striate.runs import train as run_training
from striate.runs.folder import Run
from striate.runs.freezing import FREEZINGS, FreezeOut, Freezing, Layerwise, ending
from striate.runs.recipes import RECIPES
from striate.runs.resizing import RESIZINGS, Growing, Listed, Resizing, resized
from striate.training import LogPosition, SafePoint, StepDone, TrainState, read_checkpoint, read_events, restore, train
from striate.training.checkpoint import checkpoint_path, snapshot, write_checkpoint
from striate.training.optimizers import SGD
from striate.training.schedules import Cosine, Schedule, Step

LENGTH = Duration.parse("5ep")
SETTINGS = ["batch_size=8", "epochs=4ep", "input.height=12", "input.width=12", "precision=float32", "device=cpu"]


class Seeing(nn.Module):
    """A network that takes images of any size, and notes their sides: in training and in evaluation."""

    seen: tuple[list[int], list[int]] = ([], [])

    def __init__(self, channels: int = 3, classes: int = 2) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(channels, 4, 3), nn.BatchNorm2d(4), nn.ReLU())
        self.second = nn.Sequential(nn.Conv2d(4, 4, 3, stride=2), nn.BatchNorm2d(4), nn.ReLU())
        self.head = nn.Linear(4, classes)

    def forward(self, x: Tensor) -> Tensor:
        if x.device.type == "cpu":
            self.seen[self.training].append(x.shape[2])
        return self.head(self.second(self.first(x)).mean(dim=(2, 3)))


class Flat(nn.Sequential):
    """A network for images of 12×12 pixels only."""

    def __init__(self, channels: int = 3, classes: int = 2) -> None:
        super().__init__(nn.Conv2d(channels, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(200, classes))


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Make ten images of each of two colours; no report is written, and no trial of plans is made."""
    monkeypatch.setenv("STRIATE_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(build, "write_run_report", lambda run: run.report_file)
    monkeypatch.setattr(run_training, "choose_plan", lambda *_, **__: ExecutionPlan())
    monkeypatch.setattr(Seeing, "seen", ([], []))
    striate.register_model(Seeing)
    yield two_colours(tmp_path / "photos", 10)
    OWN_MODELS.clear()


def losses(run: Run) -> list[float]:
    return [event["loss"] for event in read_events(run.events_file) if event["event"] == "step"]


def result(run: Run) -> tuple[bytes, list[float]]:
    return (run.path / "classifier" / "model.safetensors").read_bytes(), losses(run)


def interrupted(photos: Path, chosen: list[str], step: int) -> Run:
    """Train until `step`, and resume."""
    events = striate.train.events(photos, model="Seeing", name="parted", set=[*SETTINGS, *chosen])
    next(event for event in events if isinstance(event, SafePoint) and event.clock.step == step)
    events.close()
    return striate.resume("runs/parted")


RESIZED = ["resizing.name=listed", "resizing.pixels=8,10", "resizing.until=0.25,0.75"]


def test_epochs_have_their_sizes_evaluations_the_full_one_and_a_resumed_run_is_the_same(photos: Path) -> None:
    run = striate.train(photos, model="Seeing", name="whole", set=[*SETTINGS, *RESIZED])
    evaluated, trained = Seeing.seen
    assert trained[-8:] == [8, 8, 10, 10, 10, 10, 12, 12]  # 12 images in batches of 8, after the checks
    assert set(evaluated[-6:]) == {12}
    assert result(interrupted(photos, RESIZED, 3)) == result(run)  # within the second epoch
    assert losses(run)[-1] < losses(run)[0]


def test_the_sides_of_growing_are_those_of_the_paper() -> None:
    kind = Growing(start=128 / 300, stages=4)
    exact = [128 + (300 - 128) * stage / 3 for stage in range(4)]
    assert kind.sides(8, 300) == [4 * round(side / 4) for side in exact]
    assert [kind.side(epoch / 8, 300) for epoch in range(8)] == [128, 128, 184, 184, 244, 244, 300, 300]
    assert Growing().side(0.99, 30) == 30
    assert Growing(start=0.01).side(0.0, 28) == 4


def test_listed_sides_hold_until_their_fractions_and_never_exceed_the_full_one() -> None:
    kind = Listed(pixels=(24, 28), until=(0.5, 0.8))
    assert [kind.side(fraction, 32) for fraction in (0.0, 0.49, 0.5, 0.79, 0.8, 1.0)] == [24, 24, 28, 28, 32, 32]
    assert kind.sides(10, 26) == [24, 26]


@pytest.mark.parametrize("chosen", [{"resizing.name": "listed", "resizing.pixels": (64,)}, {"resizing.start": 1.0}])
def test_a_resizing_without_smaller_images_is_refused(chosen: dict[str, object]) -> None:
    plan = {"resizing.name": "growing", "model": "conv3-4 relu gap", "epochs": "2ep", **chosen}
    with pytest.raises(ConfigError, match="none of its sides is below the 32 pixels of these"):
        next(striate.train.events("digits", set=plan, device="cpu"))


def test_the_preparation_of_another_size_keeps_its_proportions() -> None:
    spec = InputSpec(channels=GREY, height=48, width=64, mean=(0.5,), std=(0.5,), resized=(60, 80))
    small = resized(spec, 24)
    assert (small.size, small.resized) == ((24, 32), (30, 40))
    assert resized(spec, 48) is spec


@pytest.mark.parametrize(
    ("chosen", "sentence"),
    [
        ({"name": "listed", "pixels": [8], "until": [0.5, 0.6]}, "for each of the 1 pixels"),
        ({"name": "listed", "pixels": [8, 9], "until": [0.6, 0.5]}, "in ascending order; received 0.6, 0.5"),
        ({"name": "listed", "pixels": [0]}, "pixels must be sides of at least 1 pixel; received 0"),
        ({"name": "growing", "stages": 1}, "stages must be at least 2"),
        ({"name": "growing", "start": 0.0}, "start must be above 0 and at most 1"),
    ],
    ids=lambda value: value if isinstance(value, str) else value["name"],
)
def test_sizes_that_cannot_be_are_refused(chosen: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        from_json(Resizing, chosen)


def test_what_resizing_does_not_suit_is_refused_before_the_run_begins(photos: Path) -> None:
    striate.register_model(Flat)
    with pytest.raises(ConfigError, match=r"images of 8×8 pixels too, and Flat for 12×12 does not take them .*mat1"):
        striate.train(photos, model="Flat", set=[*SETTINGS, *RESIZED])
    with pytest.raises(ConfigError, match="needs its length in epochs or steps; received 10min"):
        override(RECIPES["digits"](), ["resizing.name=growing", "epochs=10min"])
    assert not Path("runs").exists()


def freezing_state(
    freezing: Freezing | None, model: nn.Module | None = None, schedule: Schedule | None = None
) -> TrainState:
    model = make_model() if model is None else model
    schedule = schedule or Cosine()
    rates = ending(freezing, (), model, (6, 6))
    return make_state(
        model,
        optimizer=SGD(lr=0.1, momentum=0.9).create(model, rates),
        schedule=schedule.over(LENGTH),
        schedules={rate.end: schedule.over(LENGTH, part=rate.end) for rate in rates if rate.end < 1}
        if freezing is not None and freezing.shortened
        else {},
        length=LENGTH,
    )


KINDS: dict[str, Freezing] = {"freezeout": FreezeOut(first=0.8), "layerwise": Layerwise(first=0.5)}


@pytest.mark.parametrize("name", list(FREEZINGS))
def test_a_frozen_layer_keeps_its_weights_its_statistics_and_those_of_the_optimizer(name: str) -> None:
    state = freezing_state(KINDS[name])
    end = KINDS[name].end(0.0)
    first, last = state.model.get_submodule("0"), state.model.get_submodule("5")
    kept: list[Tensor] = []
    for event in train(state, MadeBatches(), until=LENGTH):
        if isinstance(event, StepDone):
            layer = [*first.parameters(), *state.model.get_submodule("1").state_dict().values()]
            momenta = [state.optimizer.state[each]["momentum_buffer"] for each in first.parameters()]
            now = [value.detach().clone() for value in (*layer, *momenta)]
            if event.clock.step - 1 >= end * 25:
                assert all(torch.equal(value, before) for value, before in zip(now, kept, strict=True))
                assert all(each.grad is None for each in first.parameters())
                assert all(each.grad is not None for each in last.parameters())
            elif kept:
                assert not torch.equal(now[0], kept[0])
            kept = now
    assert not first.training


def test_the_rates_of_freezeout_are_those_of_the_paper() -> None:
    state = freezing_state(FreezeOut(first=0.8))
    rates: list[list[float]] = []
    for event in train(state, MadeBatches(), until=LENGTH):
        if isinstance(event, StepDone):
            rates.append([group["lr"] for group in state.optimizer.param_groups])
    ends = [1.0, 1.0, 0.8**3, 0.8**3]  # weights and others of the head, then of the other layers
    for step, found in enumerate(rates):
        for rate, end in zip(found, ends, strict=True):
            now = min(1.0, (step + 0.5) / 25 / end)  # the rate is that of the middle of the step
            assert rate == pytest.approx(0.1 / end * 0.5 * (1 + math.cos(math.pi * now)), abs=1e-12)


def test_a_schedule_that_counts_epochs_ends_where_the_layer_is_frozen_too() -> None:
    state = freezing_state(FreezeOut(first=0.5, cubed=False, scaled=False), schedule=Step(every_epochs=2.0, factor=0.1))
    rates = [
        [group["lr"] for group in state.optimizer.param_groups]
        for event in train(state, MadeBatches(), until=LENGTH)
        if isinstance(event, StepDone)
    ]
    # The rate falls after two and four of five epochs of five steps, and for the other layers in half the time.
    assert [rate[0] for rate in rates] == pytest.approx([0.1] * 10 + [0.01] * 10 + [0.001] * 5)
    assert [rate[-1] for rate in rates[:13]] == pytest.approx([0.1] * 5 + [0.01] * 5 + [0.001] * 3)


@pytest.mark.parametrize("name", list(FREEZINGS))
@pytest.mark.parametrize("step", [7, 21])
def test_a_freezing_training_resumed_is_the_uninterrupted_bit_for_bit(name: str, step: int, tmp_path: Path) -> None:
    whole, stopped = freezing_state(KINDS[name]), freezing_state(KINDS[name])
    list(train(whole, MadeBatches(), until=LENGTH))
    list(train(stopped, MadeBatches(), until=Duration(float(step), "st")))
    write_checkpoint(tmp_path, snapshot(stopped, LogPosition(0, "", 0.0, 0)))
    stopped = freezing_state(KINDS[name], copy.deepcopy(make_model()))
    restore(stopped, read_checkpoint(checkpoint_path(tmp_path, step)))
    list(train(stopped, MadeBatches(), until=LENGTH))
    assert torch.equal(weights(stopped.model), weights(whole.model))
    assert not torch.equal(weights(whole.model), weights(_trained_throughout()))


def _trained_throughout() -> nn.Module:
    state = freezing_state(None)
    list(train(state, MadeBatches(), until=LENGTH))
    return state.model


def test_a_run_that_freezes_learns_and_is_resumed_exactly(photos: Path) -> None:
    chosen = ["freezing.name=freezeout", "schedule.name=cosine"]
    run = striate.train(photos, model="Seeing", name="whole", set=[*SETTINGS, *chosen])
    assert losses(run)[-1] < losses(run)[0]
    assert result(interrupted(photos, chosen, 5)) == result(run)


@pytest.mark.parametrize(
    ("chosen", "sentence"),
    [
        (["freezing.name=layerwise", "transfer.name=staged", "weights=x"], "freezing ends the training of layers"),
        (["freezing.name=freezeout", "schedule.name=plateau"], "freezing freezeout shortens the schedule of layers"),
        (["freezing.name=freezeout", "freezing.first=0"], "freezing.first must be above 0 and at most 1; received 0"),
        (["freezing.name=freezout"], "There is no kind of freezing 'freezout'. Did you mean 'freezeout'"),
        (["resizing.name=growin"], "There is no kind of resizing 'growin'. Did you mean 'growing'"),
    ],
    ids=["staged", "plateau", "range", "freezing", "resizing"],
)
def test_what_cannot_be_combined_is_refused(chosen: list[str], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        override(RECIPES["digits"](), chosen)


def test_kinds_are_registered_with_their_defaults() -> None:
    assert (list(RESIZINGS), list(FREEZINGS)) == (["growing", "listed"], ["freezeout", "layerwise"])
    recipe = override(RECIPES["digits"](), ["resizing.name=listed", "freezing.name=layerwise"])
    assert (recipe.resizing, recipe.freezing) == (Listed(), Layerwise())
