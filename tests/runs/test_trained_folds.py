"""Cross-validation of trainings: each network answers for the images that it was not trained on."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from safetensors.torch import save_file

import striate
from striate.classifier import load_classifier
from striate.core.errors import ConfigError
from striate.data.sources.opening import open_data
from striate.models import create_model
from striate.runs import trained_folds
from striate.runs.evaluate import Evaluation, answers
from striate.runs.events import RunEvent, RunFinished
from striate.runs.folder import Run
from striate.runs.plan import Plan
from striate.runs.resume import finish_run, resume_run
from striate.runs.start import start_run
from striate.training import SafePoint

FOLDS = {"transfer.name": "head", "transfer.folds": 2, "transfer.keep_folds": True, "epochs": 2, "batch_size": 8}


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("weights") / "resnet20.safetensors"
    save_file(create_model("resnet20", classes=10, size=(32, 32), seed=3).state_dict(), path)
    return str(path)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes of 8 images, of a colour with noise; the label of the first one is wrong."""
    folder = tmp_path_factory.mktemp("data") / "colours"
    draw = np.random.default_rng(0)
    for name, channel in (("red", 0), ("blue", 2)):
        (folder / name).mkdir(parents=True)
        for number in range(8):
            pixels = draw.integers(0, 80, (16, 16, 3))
            pixels[..., channel if (name, number) != ("red", 0) else 2] += 140
            Image.fromarray(pixels.astype(np.uint8)).save(folder / name / f"{number}.png")
    return folder


def _events(
    photos: Path, weights: str, folder: Path, execution: Run | None = None, **changes: Any
) -> Generator[RunEvent, None, Any]:
    sized = {"model": "resnet20", "input.height": 16, "input.width": 16, "precision": "float32", "device": "cpu"}
    settings = {**sized, "weights": weights, **changes}
    repeated = None if execution is None else execution.path
    return start_run(photos, settings, name="run", folder=folder, execution=repeated)


@pytest.fixture(scope="module")
def whole(photos: Path, weights: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, list[Any]]:
    """A run with two folds, and the images that each of its trainings uses and sets apart."""
    used: list[Any] = []
    inner = trained_folds.train_run

    def spy(run: Run, session: Any, batches: Any, *rest: Any) -> Any:
        drawn = np.concatenate([batch.index.numpy() for batch in batches[0].epoch(0)])
        used.append((np.sort(drawn), session.prepared.splits["val"]))
        return inner(run, session, batches, *rest)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trained_folds, "train_run", spy)
        *_, end = _events(photos, weights, tmp_path_factory.mktemp("runs"), **FOLDS)
    assert isinstance(end, RunFinished)
    return end.run, used


def test_each_image_is_answered_by_a_network_that_was_not_trained_on_it(
    whole: tuple[Run, list[Any]], photos: Path
) -> None:
    run, used = whole
    assert len(used) == 2
    for trained, own in used:
        assert not set(trained) & set(own)
        assert sorted([*trained, *own]) == list(range(16))
    assert sorted([*used[0][1], *used[1][1]]) == list(range(16))
    stored = [np.load(run.path / "folds" / f"{fold}.npz") for fold in (1, 2)]
    assert [sorted(each["index"]) for each in stored] == [sorted(own) for _, own in used]
    kept = sorted(path for path in (run.path / "folds").iterdir() if path.is_dir())
    assert [path.name for path in kept] == ["classifier-1", "classifier-2"]
    for folder, each in zip(kept, stored, strict=True):  # the classifier that gave these answers, calibrated
        classifier = load_classifier(folder)
        found = answers(classifier, open_data(photos), each["index"])
        np.testing.assert_allclose(found.values, each["logits"], atol=1e-4)
        assert classifier.temperature == load_classifier(run).temperature
        assert classifier.reference is not None
    assert striate.load(kept).predict(photos / "red/1.png").label in ("red", "blue")


def test_the_folds_evaluate_calibrate_and_check_labels(whole: tuple[Run, list[Any]], photos: Path) -> None:
    run, _ = whole
    assert set(run.scores) == {"train", "folds"}
    assert run.scores["folds"].top1.count == 16
    judged = Evaluation.read(run, "folds")
    assert judged is not None
    classifier = load_classifier(run)
    fitted = classifier.provenance.temperature
    assert fitted is not None
    assert fitted["count"] == 16
    reference = classifier.reference
    assert reference is not None
    assert (len(reference.features), len(reference.similarities)) == (16, 16)
    stored = [np.load(run.path / "folds" / f"{fold}.npz") for fold in (1, 2)]
    order = np.argsort(np.concatenate([each["index"] for each in stored]))
    similar = np.concatenate([each["similarities"] for each in stored])[order]
    np.testing.assert_array_equal(reference.similarities, similar)
    assert classifier.predict(photos / "red/1.png").similarity == pytest.approx(1, abs=2e-3)
    assert run.labels_file.read_text().splitlines()[1].split(",")[0].endswith("red/0.png")
    assert not run.curve_file.exists()


def test_a_finished_fold_is_not_trained_again(
    whole: tuple[Run, list[Any]], photos: Path, weights: str, tmp_path: Path
) -> None:
    events = _events(photos, weights, tmp_path, whole[0], **FOLDS)
    run = Run(tmp_path / "run")
    for event in events:
        if isinstance(event, SafePoint) and (run.path / "folds" / "2").exists():
            break
    events.close()
    first = run.path / "folds" / "1.npz"
    before = first.stat().st_mtime_ns
    assert set(finish_run(run).scores) == {"train"}
    *_, end = resume_run(run, inexact=False)
    assert isinstance(end, RunFinished)
    assert first.stat().st_mtime_ns == before
    for fold in (1, 2):
        one, other = (np.load(each.path / "folds" / f"{fold}.npz") for each in (run, whole[0]))
        np.testing.assert_array_equal(one["logits"], other["logits"])
    assert end.scores["folds"].top1 == whole[0].scores["folds"].top1


def test_what_does_not_go_with_folds_is_refused(photos: Path, weights: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="a cross-validation leaves none"):
        next(_events(photos, weights, tmp_path, None, **FOLDS, **{"stop.patience": 3}))
    assert not any(tmp_path.iterdir())


def test_auto_repeats_the_training_that_it_chooses(
    whole: tuple[Run, list[Any]], photos: Path, weights: str, tmp_path: Path
) -> None:
    changes = {"transfer.name": "auto", "transfer.folds": 3, "epochs": 1}
    events = _events(photos, weights, tmp_path, whole[0], **changes)
    next(events)
    events.close()
    recipe = Plan.read(Run(tmp_path / "run")).recipe
    assert (recipe.transfer.name, recipe.transfer.folds, recipe.stop.keep) == ("full", 3, "last")  # pyright: ignore
