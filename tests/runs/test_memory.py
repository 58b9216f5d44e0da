"""A run that finds too little memory goes on with fewer images at once, says so, and is resumed exactly."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch import Tensor, nn

import striate
from rehearsal.colours import two_colours
from striate.classifier import Classifier
from striate.cli.main import main
from striate.core.device import ExecutionPlan
from striate.core.errors import ConfigError
from striate.models import OWN_MODELS
from striate.reporting import build
from striate.runs import train
from striate.runs.events import RunStarted
from striate.runs.folder import Run
from striate.training import SafePoint, newest_checkpoint, read_events

SETTINGS = ["batch_size=8", "epochs=2ep", "input.height=12", "precision=float32", "augmentation=none", "device=cpu"]


class Hungry(nn.Module):
    """A network with batch norm and dropout for which, from its third step on, memory is enough for 3 images."""

    def __init__(self, channels: int = 3, classes: int = 2) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(channels, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.2))
        self.head = nn.Linear(4, classes)
        self.calls = 0

    def forward(self, x: Tensor) -> Tensor:
        maps = self.body(x)
        self.calls += self.training
        if self.training and len(x) > 3 and self.calls > 2:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 99 bytes.")
        return self.head(maps.mean(dim=(2, 3)))


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Make ten images of each of two colours; no report is written, and no trial of plans is made."""

    def plan(*_: object, device: str, micro_batch: int | None, recompute: bool, **__: object) -> ExecutionPlan:
        return ExecutionPlan(device=device, micro_batch=micro_batch, recompute=recompute)

    monkeypatch.setenv("STRIATE_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(build, "write_run_report", lambda run: run.report_file)
    monkeypatch.setattr(train, "choose_plan", plan)
    striate.register_model(Hungry)
    yield two_colours(tmp_path / "photos", 10)
    OWN_MODELS.clear()


def steps_short(run: Run) -> list[tuple[int, int]]:
    events = read_events(run.events_file)
    return [(event["clock"]["step"], event["micro_batch"]) for event in events if event["event"] == "memory_short"]


def weights(run: Run) -> bytes:
    return (run.path / "classifier" / "model.safetensors").read_bytes()


def test_it_says_so_in_one_sentence_records_it_and_resumes_exactly(
    photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = [word for text in SETTINGS for word in ("--set", text)]
    with pytest.raises(SystemExit) as ended:
        main(["train", str(photos), "--model", "Hungry", "--name", "whole", *options])
    assert ended.value.code == 0
    said = " ".join(capsys.readouterr().out.split())
    assert said.count("memory is short: from step 3 on, at most 2 images of a batch are computed at once") == 1
    assert "batch norms take their statistics over these. To keep them at the whole batch: memory.recompute" in said
    whole = Run(Path("runs/whole"))
    assert steps_short(whole) == [(3, 2)]  # for 8 images, and then for 4, memory was short

    events = striate.train.events(photos, model="Hungry", set=SETTINGS, name="parted")
    next(event for event in events if isinstance(event, SafePoint) and event.clock.step == 3)
    events.close()
    run = striate.resume("runs/parted")
    assert weights(run) == weights(whole)
    assert steps_short(run) == [(3, 2)]


def test_the_recipe_bounds_the_images_at_once_from_the_first_step_on(photos: Path) -> None:
    run = striate.train(photos, model="Hungry", set=[*SETTINGS, "memory.micro_batch=3"])
    checkpoint, _ = newest_checkpoint(run.checkpoints)
    assert checkpoint is not None
    assert checkpoint.plan.micro_batch == 3
    assert steps_short(run) == []
    events = striate.train.events(photos, model="Hungry", set=[*SETTINGS, "memory.recompute=true"])
    started = next(event for event in events if isinstance(event, RunStarted))
    events.close()
    assert started.execution.recompute


def test_a_size_that_cannot_be_is_refused(photos: Path) -> None:
    with pytest.raises(ConfigError, match=r"memory.micro_batch must be at least 1; received 0"):
        striate.train(photos, model="Hungry", set=[*SETTINGS, "memory.micro_batch=0"])
    with pytest.raises(ConfigError, match="normalises over a single value of each channel in a batch of 1"):
        striate.train(
            photos, model="Hungry", set=[*SETTINGS, "input.height=3", "input.width=3", "memory.micro_batch=1"]
        )


def test_features_are_computed_on_half_as_many_images_where_memory_is_short(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options: Any = {"model": "linear", "epochs": "1st", "set": ["input.height=8", "input.width=8"], "device": "cpu"}
    whole = striate.load(striate.train("digits", name="whole", **options)).reference
    logits, sizes = Classifier.logits, []

    def short(self: Classifier, images: Tensor) -> Tensor:
        if len(images) > 2:
            raise MemoryError
        sizes.append(len(images))
        return logits(self, images)

    monkeypatch.setattr(Classifier, "logits", short)
    halved = striate.load(striate.train("digits", name="halved", **options)).reference
    assert max(sizes) == 2
    assert whole is not None
    assert halved is not None
    np.testing.assert_allclose(halved.features, whole.features, atol=2e-3)
