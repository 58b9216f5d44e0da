"""evaluate: judged on images that the classifier has not seen, whatever they are called and wherever they lie."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import striate
from striate.cli.main import main
from striate.core.errors import ConfigError, DataError
from striate.data.audit import audit
from striate.data.sources.opening import open_data
from striate.runs.folder import Run


def noise(folder: Path, count: int, seed: int) -> None:
    """`count` images of random pixels in each of two classes."""
    draws = np.random.default_rng(seed)
    for name, level in (("dark", 60), ("light", 190)):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            pixels = np.clip(draws.normal(level, 40, (16, 16)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{seed}-{number}.png")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a run, `r`, and the photos that it was trained on."""
    base = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STRIATE_CACHE", str(base / "cache"))
        noise(base / "photos", 20, seed=0)
        striate.train(base / "photos", model="mlp", epochs=1, name="r", runs=base, set=["precision=float32"])
        yield base


@pytest.fixture
def run(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The run for this test alone, next to the photos."""
    for folder in ("r", "photos"):
        shutil.copytree(trained / folder, tmp_path / folder)
    monkeypatch.chdir(tmp_path)
    return Run(tmp_path / "r")


def splits() -> dict[str, int]:
    return {split: len(indices) for split, indices in audit(open_data("photos")).divided().splits.items()}


def shown(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 0
    return capsys.readouterr().out


def test_images_of_the_training_are_left_out_and_counted(run: Run) -> None:
    sizes = splits()
    verdict = striate.evaluate(run, "photos")
    assert verdict.scores.count == sizes["test"]
    assert verdict.scores.top1 == striate.evaluate(run).scores.top1
    assert verdict.seen is not None
    assert (verdict.seen.training, verdict.seen.validation) == (sizes["train"], sizes["val"])
    assert verdict.seen.left_out


def scenery(seed: int) -> Image.Image:
    """A smooth image in colour of 96×128 pixels."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), np.uint8)
    return Image.fromarray(coarse).resize((128, 96), Image.Resampling.BICUBIC)


@pytest.fixture(scope="module")
def leaky(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Run, Path]]:
    """A run whose test split has two smaller copies of training images, and a folder of copies and of new images."""
    base = tmp_path_factory.mktemp("leaky")
    for split, seeds in (("train", range(24)), ("test", range(100, 106))):
        for name in "ab":
            (base / "data" / split / name).mkdir(parents=True)
            for seed in seeds:
                scenery(seed + 1000 * (name == "b")).save(base / "data" / split / name / f"{seed}.png")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STRIATE_CACHE", str(base / "cache"))
        for seed in (3, 4):
            scenery(seed).resize((96, 72)).save(base / "data" / "test" / "a" / f"copy{seed}.jpg", quality=60)
        striate.train(base / "data", model="mlp", epochs=1, name="r", runs=base, set=["precision=float32"])
        run = Run(base / "r")
        for name in "ab":
            (base / "other" / name).mkdir(parents=True)
            for seed in range(200, 203):
                scenery(seed + 1000 * (name == "b")).save(base / "other" / name / f"{seed}.jpg")
        for seed, size in enumerate(((128, 96), (64, 64), (96, 96), (256, 192))):
            scenery(seed).resize(size).save(base / "other" / "a" / f"copy{seed}.jpg", quality=40 + 10 * seed)
        scenery(9).save(base / "other" / "a" / "copy9.png")
        yield run, base / "other"


def test_resized_and_recompressed_copies_of_training_images_are_left_out(leaky: tuple[Run, Path]) -> None:
    run, other = leaky
    verdict = striate.evaluate(run, other)
    assert verdict.seen is not None
    assert (verdict.seen.training + verdict.seen.validation, verdict.seen.alike) == (1, 4)
    assert (verdict.scores.count, verdict.seen.total) == (6, 5)
    assert striate.evaluate(run, other, all_images=True).scores.count == 11


def test_a_published_classifier_shows_no_training_image_and_compares_pixels_only(
    leaky: tuple[Run, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, other = leaky
    shutil.copytree(run.classifier_folder, tmp_path / "net")
    with np.load(tmp_path / "net" / "images.npz") as columns:
        assert set(columns) == {"train", "val"}
    verdict = striate.evaluate(tmp_path / "net", other)
    assert verdict.seen is not None
    assert (verdict.seen.total, verdict.seen.alike, verdict.scores.count) == (1, None, 10)
    (other / "a" / "copy9.png").rename(tmp_path / "copy9.png")
    assert "are recognised only within the run" in shown(capsys, "evaluate", str(tmp_path / "net"), str(other))
    (tmp_path / "copy9.png").rename(other / "a" / "copy9.png")


def test_the_report_warns_of_copies_in_the_test_split_that_the_data_bring(leaky: tuple[Run, Path]) -> None:
    run, _ = leaky
    assert json.loads((run.evaluations / "test.json").read_text())["seen"]["alike"] == 2
    assert "2 test images seen before" in run.report_file.read_text()


def test_an_image_stored_in_another_way_is_known_by_what_is_visible(run: Run, tmp_path: Path) -> None:
    noise(tmp_path / "mixed", 3, seed=1)
    dataset = open_data("photos")
    for index, mode in zip(audit(dataset).divided().splits["train"].tolist(), ("RGB", "RGBA", "LA"), strict=False):
        given = Image.open(tmp_path / "photos" / dataset.store.name(index)).convert(mode)
        given.save(tmp_path / "mixed" / dataset.classes[dataset.targets[index]] / f"copy{index}.png")
    verdict = striate.evaluate(run, "mixed")
    assert verdict.seen is not None
    assert (verdict.scores.count, verdict.seen.training) == (6, 3)


def test_two_data_sets_of_one_name_are_stored_apart(run: Run, tmp_path: Path) -> None:
    for folder, count in (("spring", 2), ("autumn", 3)):
        noise(tmp_path / folder / "new", count, seed=count)
        striate.evaluate(run, tmp_path / folder / "new")
    assert {name: run.scores[name].count for name in ("new-all", "new-all-2")} == {"new-all": 4, "new-all-2": 6}
    noise(tmp_path / "spring" / "new", 4, seed=9)
    striate.evaluate(run, Path("spring", "new"))
    assert {name: run.scores[name].count for name in ("new-all", "new-all-2")} == {"new-all": 12, "new-all-2": 6}


def test_copies_are_known_by_their_pixels_under_other_names_and_in_other_formats(run: Run, tmp_path: Path) -> None:
    noise(tmp_path / "mixed", 3, seed=1)
    dataset = open_data("photos")
    for index in audit(dataset).divided().splits["train"][:4].tolist():
        given = Image.open(tmp_path / "photos" / dataset.store.name(index))
        given.save(tmp_path / "mixed" / dataset.classes[dataset.targets[index]] / f"copy{index}.bmp")
    verdict = striate.evaluate(run, "mixed")
    assert verdict.seen is not None
    assert (verdict.scores.count, verdict.seen.training, verdict.seen.validation) == (6, 4, 0)


def test_all_images_are_evaluated_on_request_and_that_is_reported(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    said = shown(capsys, "evaluate", str(run.path), "photos", "--all-images")
    assert "of 40 right" in said
    assert f"Warning: {splits()['train'] + splits()['val']} of these images were seen before" in said
    stored = json.loads((run.evaluations / "photos-all.json").read_text())["seen"]
    assert stored == {"training": splits()["train"], "validation": splits()["val"], "alike": 0, "left_out": False}


def test_left_out_images_are_reported_in_lines_and_in_json(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    said = shown(capsys, "evaluate", str(run.path), "photos")
    assert "Warning: images left out because the classifier has seen them" in said
    printed = json.loads(shown(capsys, "evaluate", str(run.path), "photos", "--json"))
    assert printed["seen"]["left_out"] is True
    assert printed["top1"]["count"] == splits()["test"]


def test_data_of_which_everything_was_seen_are_refused_with_the_remedy(run: Run) -> None:
    with pytest.raises(DataError, match="--all-images"):
        striate.evaluate(run, "photos", split="train")


def test_a_split_of_the_runs_own_data_is_evaluated_whole(run: Run) -> None:
    verdict = striate.evaluate(run, split="train")
    assert verdict.seen is not None
    assert verdict.scores.count == verdict.seen.training == splits()["train"]
    assert not verdict.seen.left_out


def test_a_classifier_that_was_copied_out_or_loaded_still_recognises_seen_images(run: Run, tmp_path: Path) -> None:
    shutil.copytree(run.path / "classifier", tmp_path / "net")
    shutil.rmtree(run.path)
    for given in (str(tmp_path / "net"), tmp_path / "net", striate.load(tmp_path / "net")):
        verdict = striate.evaluate(given, "photos")
        assert verdict.scores.count == splits()["test"]


def test_where_nothing_is_recorded_nothing_is_left_out_and_it_is_said(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    (run.path / "classifier" / "images.npz").unlink()
    said = shown(capsys, "evaluate", str(run.path), "photos")
    assert "of 40 right" in said
    assert "is not known" in said


def test_a_run_is_a_path_and_carries_its_scores_and_its_classifier(run: Run) -> None:
    assert Path(run) == run.path
    assert set(run.scores) == {"train", "val", "test"}
    assert run.scores["test"] == striate.evaluate(run).scores
    low, high = run.scores["test"].top1.interval or (1, 0)
    assert low <= (run.scores["test"].top1.value or 0) <= high
    assert run.classifier.labels.classes == striate.load(run).labels.classes == ("dark", "light")


def test_scores_that_cannot_be_stored_are_shown_all_the_same(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copied = Run(tmp_path / "copied")
    shutil.copytree(run.path, copied.path)
    shutil.rmtree(copied.evaluations)
    copied.evaluations.write_text("no folder")
    with pytest.raises(SystemExit, match="0"):
        main(["evaluate", str(copied.path)])
    out, err = capsys.readouterr()
    assert " right" in out
    assert err.startswith("striate: The run does not keep these scores. ")
    assert "cannot be a folder" in striate.evaluate(copied).unstored
    assert striate.evaluate(run).unstored == ""


def test_paths_that_are_no_run_are_refused_in_one_sentence(run: Run) -> None:
    with pytest.raises(ConfigError, match="received an object of type int"):
        striate.evaluate(3, "photos")  # pyright: ignore[reportArgumentType]
    with pytest.raises(ConfigError, match="name the data"):
        striate.evaluate(run.classifier)
