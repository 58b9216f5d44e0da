"""A run on imbalanced classes is judged by scores in which each class counts alike, and says so."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from PIL import Image

import striate
from striate.cli.show.display import finished, started
from striate.cli.show.evaluation import sentence
from striate.core.device import ExecutionPlan
from striate.data.audit import audit
from striate.data.sources.opening import open_data
from striate.reporting import build
from striate.reporting.material import RunMaterial
from striate.reporting.sections import verdict
from striate.runs import train
from striate.runs.events import RunFinished, RunStarted
from striate.training.events import Evaluated
from striate.training.losses import CrossEntropy

SETTINGS: dict[str, object] = {
    "input.height": 8,
    "input.width": 8,
    "precision": "float32",
    "augmentation": "none",
    "batch_size": 16,
    "stop.keep": "best",
}
CHOSEN: dict[str, Any] = {
    "model": "conv3-4 relu pool2", "weights": "none", "epochs": 2, "device": "cpu", "set": SETTINGS,
}  # fmt: skip

SMALL: dict[str, Any] = {"recipe": "digits", "model": "linear", "epochs": "1st", "device": "cpu"}


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make 48 dark images of one class and 12 light ones of another."""
    root, draw = tmp_path_factory.mktemp("imbalance") / "photos", np.random.default_rng(0)
    for name, level, count in (("dark", 60, 48), ("light", 150, 12)):
        (root / name).mkdir(parents=True)
        for number in range(count):
            pixels = (draw.integers(0, 60, (8, 8, 3)) + level).astype(np.uint8)
            Image.fromarray(pixels).save(root / name / f"{number}.png")
    return root


@pytest.fixture(autouse=True)
def own_cache(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRIATE_CACHE", str(photos.parent / "cache"))
    monkeypatch.setattr(build, "write_run_report", lambda run: run.report_file)
    monkeypatch.setattr(train, "choose_plan", lambda *_, **__: ExecutionPlan())  # a trial would take seconds


def test_the_audit_names_the_options_with_the_numbers(photos: Path) -> None:
    (found,) = [each for each in audit(open_data(str(photos))).divided().findings if each.kind == "imbalance"]
    assert found.sentence == (
        "dark has 3.5 times as many training images as light (28 and 8). If all classes matter alike, train with --set "
        "loss.class_balance=0.93 (effective numbers of 12.4 and 6.29 images: those of light weigh 2 times as much), "
        "or sampling.name=balanced to show all classes equally often."
    )
    assert found.names == ("light: 8", "dark: 28")
    weights = CrossEntropy(class_balance=0.93).weights(np.array([28, 8]))
    assert float(weights[1] / weights[0]) == pytest.approx(12.4 / 6.29, rel=5e-3)


def test_a_run_prints_keeps_and_records_balanced_accuracy_first(photos: Path, tmp_path: Path) -> None:
    events = list(striate.train.events(photos, runs=tmp_path, recipe="cifar", name="a", **CHOSEN))
    start, end = events[0], events[-1]
    assert isinstance(start, RunStarted)
    assert isinstance(end, RunFinished)
    assert start.plan.recipe.stop.metric == "balanced_accuracy"
    assert "3.5 times as many training images" in start.plan.reasons["stop"]
    assert "the best weights by validation balanced accuracy" in started(start)
    scores = [event.scores for event in events if isinstance(event, Evaluated)]
    assert all(list(each) == ["loss", "accuracy", "balanced_accuracy"] for each in scores)
    test = end.scores["test"]
    assert sentence(test).startswith("balanced accuracy ")
    assert sentence(test) in finished(end)
    (stored,) = end.run.evaluations.glob("test.json")
    assert '"headline": "balanced_accuracy"' in stored.read_text()
    material = RunMaterial(title="run", judged={"test": test}, test=cast(Any, test))
    masthead = str(verdict._sentence(material))
    assert masthead.startswith('<p class="verdict">Balanced accuracy <strong>')


def test_a_metric_that_the_user_chose_is_kept(photos: Path, tmp_path: Path) -> None:
    chosen: dict[str, Any] = {**CHOSEN, "set": {**SETTINGS, "stop.metric": "accuracy"}}
    events = striate.train.events(photos, runs=tmp_path, recipe="cifar", **chosen)
    start = next(events)
    events.close()
    assert isinstance(start, RunStarted)
    assert start.plan.recipe.stop.metric == "accuracy"


@pytest.mark.parametrize("setting", ["", "sampling=balanced", "loss.class_balance=0.9"])
def test_a_run_that_corrects_an_imbalance_does_not_advise_to(tmp_path: Path, setting: str) -> None:
    labels = np.array([0] * 120 + [1] * 8)
    pixels = np.random.default_rng(0).integers(0, 256, (len(labels), 8, 8), np.uint8)
    np.savez(tmp_path / "few.npz", x_train=pixels, y_train=labels, x_val=pixels[::-1, ::-1], y_val=labels[::-1])
    events = striate.train.events(tmp_path / "few.npz", runs=tmp_path, set=[setting] if setting else [], **SMALL)
    start = next(events)
    events.close()
    assert isinstance(start, RunStarted)
    advised = [finding for finding in start.findings if "If all classes matter alike" in finding]
    assert len(advised) == (not setting)
