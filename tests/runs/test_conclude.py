"""The end of a training from random weights: its classifier recognises images of none of the classes."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import striate
from rehearsal.colours import dark_and_light, two_colours
from striate.classifier import Classifier, load_classifier
from striate.core.device import ExecutionPlan


class Headless(nn.Module):
    """Averages each of its maps: no linear layer computes the outputs."""

    def __init__(self, classes: int, channels: int) -> None:
        super().__init__()
        self.maps = nn.Conv2d(channels, classes, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.maps(x).mean(dim=(2, 3))


@pytest.fixture(scope="module")
def colours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return two_colours(tmp_path_factory.mktemp("data") / "colours", 70)


def test_images_of_another_kind_are_none_of_the_classes(colours: Path, tmp_path: Path) -> None:
    run = striate.train(colours, model="conv3-8 relu pool2 fc12 relu", epochs=4, runs=tmp_path)
    classifier = load_classifier(run)
    reference = classifier.reference
    assert reference is not None
    assert reference.logits is None
    with (run.evaluations / "train.csv").open() as file:
        trained = [row["picture"] for row in csv.DictReader(file)]
    assert len(reference.features) == len(trained)
    assert len(reference.similarities) == run.scores["val"].count
    known = classifier.predict([colours / name for name in trained[::9]])
    assert {answer.none_of_these for answer in known} == {False}
    assert min(answer.similarity or 0 for answer in known) > 0.999
    blue = np.full((14, 14, 3), (20, 20, 250), np.uint8)
    assert classifier.predict(blue).none_of_these
    report = (run.path / "report.html").read_text("utf-8")
    assert "none of these" in report
    assert "largest logit" not in report


@pytest.mark.parametrize("case", ["no last layer", "few validation images"])
def test_nothing_is_said_where_nothing_can_be_compared(case: str, colours: Path, tmp_path: Path) -> None:
    data, model = (colours, Headless) if case == "no last layer" else (dark_and_light(tmp_path / "few"), "lenet5")
    run = striate.train(data, model=model, epochs=1, runs=tmp_path)
    assert (run.scores["val"].count < 19) == (case != "no last layer")
    assert load_classifier(run).reference is None


def test_all_of_it_is_computed_under_the_plan_of_the_training(
    colours: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[int] = []
    logits = Classifier.logits

    def counted(self: Classifier, images: torch.Tensor) -> torch.Tensor:
        threads.append(torch.get_num_threads())
        return logits(self, images)

    monkeypatch.setattr(Classifier, "logits", counted)
    monkeypatch.setattr("striate.runs.train.choose_plan", lambda *_, **__: ExecutionPlan(threads=3))
    before = torch.get_num_threads()
    run = striate.train(colours, model="conv3-8 relu pool2 fc12 relu", epochs=1, runs=tmp_path)
    assert load_classifier(run).reference is not None
    assert set(threads) == {3}
    assert torch.get_num_threads() == before
