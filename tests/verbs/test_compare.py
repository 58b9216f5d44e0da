"""Runs next to each other: from folders written by hand, so that every number is known."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import striate
from striate.cli.main import main
from striate.core.config import to_json
from striate.core.errors import ConfigError, RunError
from striate.core.spec import InputSpec
from striate.metrics import Rows, score_classification
from striate.metrics.multilabel import MultilabelRows, score_multilabel
from striate.reporting.comparison.page import score_rows
from striate.runs.evaluate import Evaluation
from striate.runs.folder import Run
from striate.runs.plan import make_plan

CLASSES = ("ant", "bee")


def make_run(
    path: Path, wrong: int | None, changes: dict[str, Any] | None = None, *, data: str = "a", split: str = "test",
    epochs: int = 2, classes: tuple[str, ...] = CLASSES, first: int = 0, count: int = 40,
) -> Run:  # fmt: skip
    """Write a run that answers its `wrong` first images wrongly; with None it was stopped before any evaluation."""
    run = Run(path)
    run.path.mkdir(parents=True)
    make_plan("photos", "photos", changes or {}).write(run)
    events: list[dict[str, Any]] = [{"event": "started", "data_sha256": data, "classes": classes}]
    for epoch in range(1, epochs + 1):
        clock, wall = {"epoch": epoch, "step": 3 * epoch}, {"at": 1.0, "seconds": float(epoch)}
        events.append({"event": "step", "clock": clock, "loss": 1 / epoch, "lr": 0.1, "wall": wall})
        scores = {"loss": 0.5, "accuracy": 0.9}
        events.append({"event": "evaluated", "clock": clock, "scores": scores, "wall": wall})
    if wrong is not None:
        clock = {"epoch": 2, "step": 6}
        events.append({"event": "finished", "clock": clock, "reason": "trained for 2ep", "best_step": None})
        targets = np.arange(count) % 2
        answered = np.where(np.arange(count) < wrong, 1 - targets, targets)
        logits = np.eye(2)[answered] * 4.0
        index = np.arange(first, first + count)
        names = tuple(f"{number}.jpg" for number in index.tolist())
        scored = score_classification(logits, targets, classes)
        Evaluation(split, "/photos", Rows.of(logits, targets, index), names, scored).write(run)
    run.events_file.write_text("".join(json.dumps(event) + "\n" for event in events))
    return run


def test_runs_on_the_same_images_are_paired(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, other = make_run(tmp_path / "one", 12), make_run(tmp_path / "other", 2, {"optimizer.lr": 0.01, "seed": 4})
    found = striate.compare(one, other, out=tmp_path / "page.html")
    assert found.settings == {"optimizer.lr": (0.002, 0.01), "seed": (0, 4)}
    (pair,) = found.pairs
    assert (pair.paired.first, pair.paired.second, pair.paired.count) == (0, 10, 40)
    assert pair.p == pytest.approx(2 / 2**10)
    assert found.verdict == "other is more accurate than one on their test images."
    page = (tmp_path / "page.html").read_text("utf-8")
    for text in (found.verdict, "optimizer.lr", "+25.00", "70.0", "trained for 2ep", *found.notes):
        assert text in page
    assert "<img" in found._repr_html_()
    assert found.save(tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(SystemExit) as ended:
        main(["compare", str(one.path), str(other.path)])
    assert ended.value.code == 0
    printed = capsys.readouterr().out
    for text in (found.verdict, "optimizer.lr", "10 : 0 of 40", "0.002", "time of training"):
        assert text in printed
    assert json.loads(json.dumps(found.to_json()))["pairs"][0]["images"] == 40


def test_a_stopped_run_and_one_without_epochs_are_compared_by_what_they_have(tmp_path: Path) -> None:
    runs = [
        make_run(tmp_path / "whole", 4),
        make_run(tmp_path / "stopped", None, {"epochs": "9ep"}, epochs=1),
        make_run(tmp_path / "fitted", 4, epochs=0),
    ]
    runs.append(Run(tmp_path / "begun"))
    runs[-1].path.mkdir()
    make_plan("photos", "photos", {}).write(runs[-1])
    found = striate.compare(*runs)
    assert [each.state for each in found.runs[1::2]] == ["unfinished: epoch 1 of 9", "unfinished: epoch 0 of 60"]
    assert [each.seconds for each in found.runs] == [2.0, 1.0, None, None]
    assert [(pair.first, pair.second, pair.p) for pair in found.pairs] == [("whole", "fitted", 1.0)]
    assert any("Without this evaluation: stopped, begun." in note for note in found.notes)
    assert any("'striate finish RUN'" in note for note in found.notes)
    assert found._repr_png_().startswith(b"\x89PNG")
    again = striate.compare(runs[3], runs[1])
    assert again.verdict == "No two of these runs were judged on the same images."


def test_runs_that_ended_with_different_evaluations_are_not_to_be_finished(tmp_path: Path) -> None:
    found = striate.compare(make_run(tmp_path / "one", 4), make_run(tmp_path / "folded", 4, split="folds"))
    assert "Without an evaluation that another has, too: one, folded." in found.notes


def test_runs_that_were_stopped_in_their_first_epoch_are_placed_by_their_steps(tmp_path: Path) -> None:
    """5 of 20 steps are a quarter of an epoch, whether epochs or steps were asked for."""
    runs = []
    for epochs in ("1ep", "8st"):
        runs.append(make_run(tmp_path / epochs, None, {"epochs": epochs}, epochs=0))
        events = [{"event": "started", "steps_per_epoch": 20}]
        events += [{"event": "step", "clock": {"epoch": 0, "step": 5}, "loss": 1.0, "lr": 0.1}]
        runs[-1].events_file.write_text("".join(json.dumps(event) + "\n" for event in events))
    found = striate.compare(*runs)
    assert [each.state for each in found.runs] == ["unfinished: epoch 0.25 of 1", "unfinished: step 5 of 8"]
    assert [each.history.training_loss for each in found.runs] == [((0.25, 1.0),)] * 2


def test_scores_in_which_classes_count_alike_come_first_where_they_are_imbalanced(tmp_path: Path) -> None:
    """Of 8 dark and 2 light images, one run answers all with dark, the other one dark image with light."""
    targets = np.array([0] * 8 + [1] * 2)
    answers = {"constant": np.zeros(10, int), "better": np.array([1, *targets[1:]])}
    runs = []
    for name, answered in answers.items():
        runs.append(make_run(tmp_path / name, None))
        scored = score_classification(np.eye(2)[answered] * 4.0, targets, ("dark", "light"))
        rows = Rows.of(np.eye(2)[answered] * 4.0, targets, np.arange(10))
        Evaluation("test", "/photos", rows, tuple(map(str, range(10))), scored).write(runs[-1])
    rows = score_rows(striate.compare(*runs).material)
    assert rows[0] == ("balanced accuracy, test images", "50.0\u202f%", "93.8\u202f%")
    assert rows[1] == ("macro F1, test images", "44.4\u202f%", "86.7\u202f%")
    assert [row[0] for row in rows[2:4]] == ["accuracy, test images", "loss, test images"]


def test_augmentations_that_suit_the_data_are_compared_by_what_takes_effect(tmp_path: Path) -> None:
    """`photos` scales by 0.1 where nothing is set."""
    spec = InputSpec(channels=("red", "green", "blue"), height=8, width=8, mean=(0.5,) * 3, std=(0.25,) * 3)
    runs = []
    for number, changes in enumerate(({}, {"augmentation.scale": 0.1}, {"augmentation.scale": 0.2})):
        runs.append(make_run(tmp_path / str(number), 4, changes))
        events = [json.loads(line) for line in runs[-1].events_file.read_text().splitlines()]
        events[0]["input"] = to_json(spec)
        runs[-1].events_file.write_text("".join(json.dumps(event) + "\n" for event in events))
    assert striate.compare(*runs[:2]).settings == {}
    assert striate.compare(*runs).settings == {"augmentation.scale.fraction": (0.1, 0.1, 0.2)}


def test_different_images_are_not_tested_and_shared_ones_are(tmp_path: Path) -> None:
    one, other = make_run(tmp_path / "one", 4), make_run(tmp_path / "other", 4, first=20, data="a")
    (pair,) = striate.compare(one, other).pairs
    assert pair.paired.count == 20
    apart = make_run(tmp_path / "apart", 4, first=100)
    found = striate.compare(one, apart)
    assert not found.pairs
    assert "Runs that were evaluated on different images are not tested against each other." in found.notes


def test_other_data_of_one_name_are_paired_by_the_names_of_images(tmp_path: Path) -> None:
    one, other = make_run(tmp_path / "one", 4), make_run(tmp_path / "other", 6, data="changed")
    assert striate.compare(one, other).pairs[0].paired.count == 40
    evaluation = Evaluation.read(other, "test")
    assert evaluation is not None
    replace(evaluation, data="/elsewhere").write(other)
    assert not striate.compare(one, other).pairs


def test_runs_with_several_answers_for_an_image_are_compared_by_their_scores_alone(tmp_path: Path) -> None:
    outputs, targets, names = np.array([[2.0, -1.0], [1.0, 3.0]]), np.eye(2), ("0.jpg", "1.jpg")
    several = {"task": "multilabel", "loss.name": "binary_cross_entropy"}
    runs = [make_run(tmp_path / name, None, several) for name in ("one", "other")]
    for run in runs:
        rows, scores = MultilabelRows.of(outputs, targets, np.arange(2)), score_multilabel(outputs, targets, CLASSES)
        Evaluation("test", "/photos", rows, names, scores, task="multilabel").write(run)
    found = striate.compare(*runs)
    assert not found.pairs
    assert found.verdict == (
        "The scores on test images are not tested against each other: the test is for one answer for each image."
    )
    scores = {row[0]: row[1] for row in score_rows(found.material)}
    assert [key.removesuffix(", test images") for key in list(scores)[:5]] == [
        "mAP", "micro F1", "macro F1", "all labels right", "loss",
    ]  # fmt: skip
    assert scores["mAP, test images"] == "100\u202f%"
    assert scores["micro F1, test images"] == "80.0\u202f%"  # 2 of 3 labels given are right, and both of the true ones
    assert scores["all labels right, test images"].startswith("50.0\u202f% (")


def test_validation_images_are_named_as_such(tmp_path: Path) -> None:
    found = striate.compare(*(make_run(tmp_path / name, 4, split="val") for name in ("one", "other")))
    assert found.verdict.endswith("validation images.")
    assert any("optimistic" in note for note in found.notes)


def test_mistakes_get_a_sentence(tmp_path: Path) -> None:
    one, other = make_run(tmp_path / "one", 4), make_run(tmp_path / "other", 4, classes=("cat", "dog"))
    with pytest.raises(ConfigError, match="A comparison takes 2 to 8 runs; received 1"):
        striate.compare(one)
    with pytest.raises(ConfigError, match=r"must differ; received .* twice"):
        striate.compare(one, one.path / "." / ".." / "one")
    with pytest.raises(ConfigError, match="must have classes in common; one has ant, bee, and other has cat, dog"):
        striate.compare(one, other)
    with pytest.raises(RunError, match="Did you mean 'other'"):
        striate.compare(one, tmp_path / "othr")
    third = make_run(tmp_path / "third", 1)
    with pytest.raises(ConfigError, match=r"saved as \.html, \.png or \.svg; received 'x\.txt'"):
        striate.compare(one, third, out="x.txt")
