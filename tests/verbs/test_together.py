"""Several runs that answer together, and several views of an image: evaluate, predict and load."""

from __future__ import annotations

import csv
import json
import math
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import striate
from rehearsal.colours import dark_and_light
from striate.classifier import Classifier, Ensemble
from striate.cli.main import main
from striate.core.errors import ConfigError
from striate.reporting import build
from striate.runs.folder import Run


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Run, Run]]:
    """Two runs on the same photos that differ in the network and the seed."""
    base = tmp_path_factory.mktemp("together")
    dark_and_light(base / "photos")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STRIATE_CACHE", str(base / "cache"))
        patch.setattr(build, "write_run_report", lambda run: run.report_file)
        yield tuple(
            striate.train(
                base / "photos", model=model, epochs=2, seed=seed, name=f"r{seed}", runs=base, set=["precision=float32"]
            )
            for seed, model in ((1, "mlp"), (2, "conv3-4 relu gap"))
        )  # pyright: ignore[reportReturnType]


def photos(run: Run) -> Path:
    return run.path.parent / "photos"


def shown(capsys: pytest.CaptureFixture[str], *words: str | os.PathLike[str]) -> str:
    with pytest.raises(SystemExit) as ended:
        main([os.fspath(word) for word in words])
    assert ended.value.code == 0
    return capsys.readouterr().out


def images_of_the_test(run: Run) -> list[tuple[str, str]]:
    """The test images of a run: class and path."""
    with (run.evaluations / "test.csv").open() as file:
        return [(line["class"], str(photos(run) / line["picture"])) for line in csv.DictReader(file)]


def loss(rows: list[tuple[str, str]], classifier: Classifier | Ensemble, views: str = "") -> float:
    answers = classifier.predict([path for _, path in rows], views=views)
    return float(np.mean([-math.log(one.probabilities[name]) for one, (name, _) in zip(answers, rows, strict=True)]))


def test_runs_are_evaluated_together_on_their_own_data_and_nothing_is_written(runs: tuple[Run, Run]) -> None:
    before = sorted(runs[0].evaluations.iterdir())
    verdict = striate.evaluate(*runs)
    rows = images_of_the_test(runs[0])
    ensemble = striate.load(runs)
    assert isinstance(ensemble, Ensemble)
    assert (verdict.classifiers, verdict.scores.count) == (2, len(rows))
    assert verdict.scores.loss == pytest.approx(loss(rows, ensemble), rel=1e-5)
    right = sum(ensemble.predict(path).label == name for name, path in rows)
    assert verdict.scores.top1.correct == right
    assert verdict.scores.calibrated is None
    assert verdict.seen is not None
    assert verdict.seen.total == 0
    assert sorted(runs[0].evaluations.iterdir()) == before


def test_the_scores_of_views_stand_next_to_those_without(runs: tuple[Run, Run]) -> None:
    run, rows = runs[0], images_of_the_test(runs[0])
    plain = run.scores["test"]
    classifier = striate.load(run)
    for views in ("shift=1,flip", "flip", "shift=2,flip", "flip"):
        verdict = striate.evaluate(run, views=views)
        assert verdict.scores.loss == pytest.approx(loss(rows, classifier, views), rel=1e-5)
    names = {name for name in run.scores if name.startswith("test")}
    assert names == {"test", "test-flip", "test-shift-flip", "test-shift-flip-2"}
    assert run.scores["test"] == plain
    stored = json.loads((run.evaluations / "test-shift-flip-2.json").read_text())
    assert stored["views"] == [{"name": "shift", "pixels": 2}, {"name": "flip"}]
    assert run.scores["test-shift-flip-2"].loss != run.scores["test-shift-flip"].loss
    assert striate.evaluate(run, photos(run), views="flip").scores.count == len(rows)
    assert "photos-all-flip" in run.scores


def test_runs_before_the_first_image_answer_together(runs: tuple[Run, Run], capsys: pytest.CaptureFixture[str]) -> None:
    image = images_of_the_test(runs[0])[0][1]
    (printed,) = json.loads(shown(capsys, "predict", *runs, image, "--json", "--views", "flip"))
    answer = striate.load(runs).predict(image, views="flip")
    assert printed["probabilities"] == pytest.approx(answer.probabilities, abs=1e-6)
    for given in (striate.predict(list(runs), image, views="flip"), striate.predict(*runs, image, views="flip")):
        assert given == [answer]


def test_a_command_evaluates_runs_on_data_named_in_either_way(
    runs: tuple[Run, Run], capsys: pytest.CaptureFixture[str]
) -> None:
    data = photos(runs[0])
    last = json.loads(shown(capsys, "evaluate", *runs, data, "--all-images", "--json"))
    named = json.loads(shown(capsys, "evaluate", *runs, "--data", data, "--all-images", "--json"))
    assert last == named
    assert last["classifiers"] == 2
    assert last["top1"]["count"] == 40
    text = shown(capsys, "evaluate", *runs, "--views", "flip")
    assert "Averaged: the probabilities of 2 classifiers and 2 views of each image (flip)." in text
    assert "of the average" in text
    assert "at temperature" in shown(capsys, "evaluate", runs[0])


def test_what_cannot_be_evaluated_together_is_one_sentence(runs: tuple[Run, Run], tmp_path: Path) -> None:
    run, other = runs
    with pytest.raises(ConfigError, match=r"one data set; received .* and .*nothing is no run, so it is taken for"):
        striate.evaluate(run, tmp_path / "nothing", other)
    elsewhere = Run(tmp_path / "r")
    elsewhere.path.mkdir()
    (elsewhere.path / "classifier").symlink_to(other.classifier_folder)
    recipe = json.loads(other.recipe_file.read_text())
    (elsewhere.path / "recipe.json").write_text(json.dumps(recipe | {"data": "digits"}))
    with pytest.raises(ConfigError, match=r"different data, .*photos and digits: name the data"):
        striate.evaluate(run, elsewhere)
    with pytest.raises(ConfigError, match="needs one run, and received several"):
        striate.explain(striate.load(runs), images_of_the_test(run)[0][1])  # pyright: ignore[reportArgumentType]
    with pytest.raises(ConfigError, match="weights are those of one network"):
        striate.evaluate(run, other, weights="w.safetensors")
    with pytest.raises(ConfigError, match="received an empty list"):
        striate.load([])
