"""Several labels of an image, from a CSV file to predictions, explanations, the report, and the same after a resume."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import striate
from striate.classifier import Ensemble, Prediction
from striate.cli.main import main
from striate.core.errors import ConfigError, DataError
from striate.metrics import MultilabelScores
from striate.metrics.multilabel import f1_threshold, sigmoid
from striate.runs.folder import Run
from striate.tasks import Multilabel
from striate.training import SafePoint

NETWORK = "conv3-8 relu pool2 fc16 relu"
SETTINGS = ["input.height=8", "input.width=8", "batch_size=16", "precision=float32", "optimizer.lr=0.01"]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Images that are brighter on the left, at the top, in both or in neither, and a run that learned them."""
    with pytest.MonkeyPatch.context() as patch:
        place = tmp_path_factory.mktemp("multilabel")
        patch.setenv("STRIATE_CACHE", str(place / "cache"))
        patch.chdir(place)
        draws, lines = np.random.default_rng(3), ["path,labels"]
        for number in range(80):
            left, top = (draws.random(2) < 0.5).tolist()
            pixels = draws.integers(0, 60, (8, 8))
            pixels[:, :4] += 90 * left
            pixels[:4] += 90 * top
            Image.fromarray(pixels.astype(np.uint8)).save(f"{number}.png")
            lines.append(f"{number}.png,{';'.join(['left'] * left + ['top'] * top)}")
        Path("images.csv").write_text("\n".join(lines) + "\n")
        striate.train("images.csv", model=NETWORK, epochs=8, set=SETTINGS, name="whole")
        yield place


def printed(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    capsys.readouterr()
    with pytest.raises(SystemExit, match="0"):
        main(list(words))
    return capsys.readouterr().out


def test_the_data_choose_the_task_and_its_loss(place: Path) -> None:
    recipe = json.loads((place / "runs/whole/recipe.json").read_text())
    assert recipe["recipe"]["task"] == {"name": "multilabel", "thresholds": []}
    assert recipe["recipe"]["loss"]["name"] == "binary_cross_entropy"
    assert "several classes" in recipe["reasons"]["task"]


def test_thresholds_are_fitted_on_the_validation_split_and_stored(place: Path) -> None:
    run: Any = Run(place / "runs/whole")
    task = striate.load(run).task
    assert isinstance(task, Multilabel)
    stored = json.loads((run.classifier_folder / "classifier.json").read_text())["task"]
    assert stored == {"name": "multilabel", "thresholds": list(task.thresholds)}
    head, *lines = [line.split(",") for line in (run.evaluations / "val.csv").read_text().splitlines()]
    for k, name in enumerate(("left", "top")):
        sure = np.array([float(line[head.index(f"p:{name}")]) for line in lines])
        present = np.array([line[head.index(f"true:{name}")] == "1" for line in lines])
        best, fewer = f1_threshold(sure, present), min(present.sum(), (~present).sum())
        drawn = (np.log(best) - np.log1p(-best)) * fewer / (fewer + 5)
        assert task.thresholds[k] == pytest.approx(1 / (1 + np.exp(-drawn)), abs=1e-6)
    scores: Any = run.scores["test"]
    assert isinstance(scores, MultilabelScores)
    assert scores.mean_average_precision is not None
    assert scores.mean_average_precision > 0.8
    assert [score.threshold for score in scores.per_class] == list(task.thresholds)


def test_a_prediction_has_every_label_above_its_threshold(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(place)
    classifier = striate.load("runs/whole")
    names = [f"{number}.png" for number in range(12)]
    found: Any = striate.predict("runs/whole", *names)
    task: Any = classifier.task
    limits = dict(zip(("left", "top"), task.thresholds, strict=True))
    for prediction in found:
        having = {name for name, value in prediction.probabilities.items() if value >= limits[name]}
        assert set(prediction.labels) == having
    assert {len(prediction.labels) for prediction in found} == {0, 1, 2}

    lines = printed(capsys, "predict", "runs/whole", *names, "--csv").splitlines()
    assert [line.split(",")[1] for line in lines[1:]] == [";".join(prediction.labels) for prediction in found]
    values = json.loads(printed(capsys, "predict", "runs/whole", *names, "--json"))
    assert [one["labels"] for one in values] == [[*one.labels] for one in found]
    shown = printed(capsys, "predict", "runs/whole", *names)
    assert "no label" in shown
    assert ", ".join(found[0].labels) in shown
    assert "average precision" in printed(capsys, "evaluate", "runs/whole")


def test_an_image_of_a_cluster_is_correct_if_the_label_reaches_its_threshold(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place)
    for one in striate.clusters("runs/whole", method="saliency", device="cpu"):
        answers: Any = striate.predict("runs/whole", *one.found.names)
        assert one.found.right.tolist() == [one.label in answer.labels for answer in answers]


def test_each_label_is_explained_and_the_report_has_the_scores(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(place)
    for label in ("left", "top"):
        explained: Any = striate.explain("runs/whole", "0.png", method="saliency", target=label, out=label)[0]
        assert explained.target == label
    for number, answer in enumerate(striate.predict("runs/whole", *(f"{number}.png" for number in range(3)))):
        assert isinstance(answer, Prediction)
        labels = [f"{label} {answer.probabilities[label]:.1%}".replace("%", " %") for label in answer.labels or ()]
        line = printed(
            capsys, "explain", "runs/whole", f"{number}.png", "--method", "saliency", "--check", "none"
        ).splitlines()[0]
        target = f"{answer.label}, {answer.probability:.1%}".replace("%", " %")
        assert line == f"{number}.png: {', '.join(labels) or 'no label'}; explained: {target}"
    page = Path("runs/whole/report.html").read_text("utf-8")
    assert "mean average precision" in page
    assert "threshold" in page
    assert "A random order has a mean average precision of" in page
    stored = {"test": json.loads(Path("runs/whole/evaluations/test.json").read_text("utf-8"))["scores"]}
    marked = re.findall(r'<data value="([^"]+)" data-of="(test[^"]+)"', page)
    assert "test.exact.value" in [path for _, path in marked]
    for value, path in marked:
        found: Any = stored
        for part in path.split("."):
            found = found[int(part) if isinstance(found, list) else part]
        assert float(value) == pytest.approx(found)


def test_an_attack_adds_or_removes_one_label(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(place)
    names = [f"{number}.png" for number in range(12)]
    answers: Any = striate.predict("runs/whole", *names)
    for name, answer in zip(names, answers, strict=True):
        found: Any = striate.fool("runs/whole", name, epsilon=60)[0]
        after: Any = striate.predict("runs/whole", found.image)[0]  # the file, read back
        assert found.fooled.fooled
        assert (answer.label in after.labels) is (answer.labels == ())
        title = f"Label {answer.label} {'removed' if answer.labels else 'added'}"
        assert title in [text.get_text() for text in found.figure().texts]
    none = names[[answer.labels for answer in answers].index(())]
    assert f"{none}: no label → top " in printed(
        capsys, "fool", "runs/whole", none, "--target", "top", "--epsilon", "60"
    )
    both = names[[len(answer.labels) for answer in answers].index(2)]
    assert "it is left already, so nothing is changed" in printed(
        capsys, "fool", "runs/whole", both, "--target", "left"
    )
    assert "not fooled within 1" in printed(capsys, "fool", "runs/whole", none, "--target", "top", "--epsilon", "1")


def test_runs_together_average_probabilities_and_thresholds(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    one = striate.load("runs/whole")
    given = ["task.name=multilabel", "task.thresholds=0.25,0.75"]
    other = striate.load(striate.train("images.csv", model=NETWORK, epochs=1, set=[*SETTINGS, *given], name="given"))
    task: Any = other.task
    assert task.thresholds == (0.25, 0.75)  # given ones are not fitted
    ensemble: Any = Ensemble([one, other])
    first: Any = one.task
    assert ensemble.task.thresholds == pytest.approx(np.mean([first.thresholds, (0.25, 0.75)], axis=0).tolist())
    images = torch.rand(3, 1, 8, 8)
    rows, _ = ensemble.answers({one.input: images, other.input: images})
    by_hand = (sigmoid(one.logits(images).numpy()) + sigmoid(other.logits(images).numpy())) / 2
    np.testing.assert_allclose(rows.numpy(), by_hand, atol=1e-6)


def test_a_compressed_run_keeps_its_thresholds(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(place)
    assert "95 % interval" in printed(capsys, "compress", "runs/whole", "--epochs", "0", "--out", "small")
    small: Any = striate.load("small/classifier")
    assert small.task == striate.load("runs/whole").task
    found = json.loads(printed(capsys, "compress", "runs/whole", "--epochs", "0", "--out", "again", "--json"))
    exact: Any = Run(place / "runs/whole").scores["test"]
    assert found["stages"][0]["accuracy"] == exact.exact.value
    assert found["stages"][0]["interval"] == list(exact.exact.interval)


def test_a_stopped_training_resumes_to_the_same_weights(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    events = striate.train.events(
        "images.csv", model=NETWORK, epochs=8, set=SETTINGS, name="parts", execution="runs/whole"
    )
    for event in events:
        if isinstance(event, SafePoint) and event.clock.step == 9:
            break
    events.close()
    ours, theirs = striate.load(striate.resume("runs/parts")), striate.load("runs/whole")
    assert ours.task == theirs.task
    expected = theirs.model.state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in ours.model.state_dict().items())


def test_what_does_not_go_with_several_labels_is_refused(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    with pytest.raises(DataError, match=r"The task 'classification' cannot be learned from these data"):
        striate.train("images.csv", model=NETWORK, set=[*SETTINGS, "task=classification"])
    with pytest.raises(ConfigError, match=r"loss must suit the task 'multilabel'.*binary_cross_entropy or focal"):
        striate.train("images.csv", model=NETWORK, set=[*SETTINGS, "loss.name=hinge"])
    with pytest.raises(ConfigError, match=r"thresholds has one value for all classes or one for each of the 2; .* 3"):
        striate.train("images.csv", model=NETWORK, set=[*SETTINGS, "task.name=multilabel", "task.thresholds=0,0,1"])
    with pytest.raises(ConfigError, match=r"task\.thresholds are from 0 to 1; received 2"):
        striate.train("images.csv", model=NETWORK, set=[*SETTINGS, "task.name=multilabel", "task.thresholds=2"])
