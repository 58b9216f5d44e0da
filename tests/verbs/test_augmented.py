"""The sheet of augmented images: what the loader of the training yields, with the labels of mixed images."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import striate
from rehearsal.colours import two_colours
from striate.cli.main import main
from striate.core.errors import ConfigError
from striate.data.dataset import ArrayStore, Dataset, numbered
from striate.reporting import build
from striate.reporting.sheets.augmented import of_many_classes
from striate.reporting.sheets.rgb import shown_input
from striate.runs.folder import Run
from striate.runs.start import plan_run
from striate.verbs.audit import AugmentedImages

NETWORK = "conv3-4 relu gap"
SETTINGS = {"batch_size": 8, "input.height": 12, "input.width": 12, "augmentation.cutmix": 1.0}


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("STRIATE_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return two_colours(tmp_path / "photos", 10)


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw no sheet, which takes a second."""
    monkeypatch.setattr(AugmentedImages, "save", lambda sheet, path: Path(path))


def printed(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    with pytest.raises(SystemExit) as ended:
        main(["audit", *words])
    assert ended.value.code == 0
    return capsys.readouterr().out


def test_images_and_labels_are_those_of_the_batches_of_the_training(photos: Path) -> None:
    found = striate.audit(photos, augment="photos", set=SETTINGS)
    assert [one.label for one in found.images] == ["green"] * 3 + ["red"] * 3
    assert "flip 0.5" in found.augmentation
    assert found.image == Path("augmented/photos-photos.png")
    assert Path("augmented/photos-photos.png").stat().st_size > 1000

    plan, prepared, _ = plan_run(photos, {"model": NETWORK, **SETTINGS})
    train, _ = prepared.load(plan.recipe)
    mixed = 0
    for epoch in range(5):
        for batch in train.epoch(epoch):
            names = prepared.names("train", batch.index.numpy())
            for one in found.images:
                if one.name not in names:
                    continue
                row = names.index(one.name)
                pixels = shown_input(batch.images[row].numpy(), prepared.input)
                assert np.array_equal(one.seen[epoch], pixels)
                green = round(100 * float(batch.targets[row, 0]))
                shares = {"green": green, "red": 100 - green}
                lines = sorted((name for name in shares if shares[name]), key=lambda name: -shares[name])
                if len(lines) == 2:
                    mixed += 1
                    assert [line.split("\u202f")[0] for line in one.labels[epoch]] == [
                        f"{name}: {shares[name]}" for name in lines
                    ]
                else:
                    assert list(one.labels[epoch]) == lines
    assert mixed > 3


def test_without_a_value_the_recipe_suits_the_data_and_nothing_is_mixed(
    photos: Path, undrawn: None, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = json.loads(printed(capsys, str(photos), "--augment", "--out", "sheet.png", "--json"))
    assert shown["recipe"] == "photos"
    assert all(one["labels"] == [[one["label"]]] * 5 for one in shown["images"])
    assert printed(capsys, str(photos), "--augment", "photos", "--set", "augmentation.blur=2", "--out", "s.svg") == (
        "recipe   photos\naugment  flip 0.5, shift 0.1, scale 0.1, brightness 0.2, contrast 0.2, blur 2\n"
        "sheet    s.svg\n"
    )


def test_a_run_or_its_file_is_the_recipe_and_the_report_shows_the_same_images(
    photos: Path, undrawn: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "write_run_report", lambda run: run.report_file)
    run = striate.train(photos, model=NETWORK, epochs=1, device="cpu", set=SETTINGS | {"precision": "float32"})
    shown = build.read_material(Run(run.path))
    for recipe in (run.path, run.path / "recipe.json"):
        found = striate.audit(photos, augment=recipe)
        assert found.augmentation == shown.augmentation
        for one, other in zip(found.images, shown.augmented, strict=True):
            assert (one.name, one.labels) == (other.name, other.labels)
            assert np.array_equal(np.stack(one.seen), np.stack(other.seen))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"augment": "phots"}, "There is no recipe 'phots'. Did you mean 'photos'?"),
        ({"augment": True, "out": "sheet.jpg"}, r"a \.png or \.svg file; received 'sheet.jpg'"),
        ({"out": "sheet.png"}, r"for a sheet of augmented images\. Add augment"),
        ({"augment": True, "set": ["augmentation.blurr=1"]}, "There is no augmentation 'blurr'"),
        ({"augment": "nowhere/recipe.json"}, "There is no recipe 'nowhere/recipe.json'"),
    ],
    ids=["unknown", "suffix", "lonely", "misspelt", "missing"],
)
def test_a_mistake_is_one_sentence(photos: Path, options: dict[str, object], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        striate.audit(photos, **options)  # pyright: ignore[reportCallIssue, reportArgumentType]


def test_the_recipe_that_suits_the_data_is_named_where_it_augments_nothing(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As for few photos, where the network's pretrained weights are at hand."""
    monkeypatch.setattr("striate.reporting.sheets.augmented.augmented_images", lambda *given, **options: ())
    with pytest.raises(ConfigError, match="The recipe photos fits a linear classifier on features"):
        striate.audit(photos, augment=True)


def test_images_are_of_as_many_classes_as_possible() -> None:
    def chosen(targets: list[int], count: int) -> list[int]:
        numbers = np.array(targets)
        classes = tuple(f"class {number}" for number in range(max(targets) + 1))
        store = ArrayStore(np.zeros((len(targets), 2, 2, 1), np.uint8), numbered("image", len(targets)))
        return of_many_classes(Dataset("d", store, classes, numbers), np.arange(len(targets)), count).tolist()

    assert chosen([0, 0, 0, 1, 2, 2], 4) == [0, 1, 3, 4]
    assert chosen(list(range(100)) * 2, 4) == [0, 25, 50, 75]
    assert chosen([1, 0], 6) == [1, 0]


def test_images_of_several_labels_show_rare_ones_and_those_without_any() -> None:
    targets = np.array([[1, 0, 0], [1, 0, 0], [1, 1, 0], [1, 0, 1], [1, 0, 0], [0, 0, 0]], bool)
    store = ArrayStore(np.zeros((6, 2, 2, 1), np.uint8), numbered("image", 6))
    assert of_many_classes(Dataset("d", store, ("a", "b", "c"), targets), np.arange(6), 4).tolist() == [0, 2, 3, 5]


def test_an_image_without_a_label_says_so_in_each_epoch(photos: Path, undrawn: None) -> None:
    rows = [f"{path},{path.parent.name if number else ''}" for number, path in enumerate(sorted(photos.rglob("*.png")))]
    Path("images.csv").write_text("\n".join(["path,labels", *rows]) + "\n")
    found = striate.audit("images.csv", augment="photos", set=SETTINGS | {"augmentation.cutmix": "none"})
    assert isinstance(found, AugmentedImages)
    bare = [one for one in found.images if one.label == "no label"]
    assert [one.labels for one in bare] == [(("no label",),) * 5]
