"""Which folders are classes and which are splits: usual spellings are read, and what is doubtful is said by name."""

from __future__ import annotations

import unicodedata
from pathlib import Path
from typing import Literal

import pytest
from PIL import Image

from striate.core.errors import DataError
from striate.data.audit import audit
from striate.data.dataset import Dataset
from striate.data.sources.opening import open_data
from striate.data.sources.splits import split_named

Form = Literal["NFC", "NFD"]


def fill(root: Path, *folders: str, count: int = 2) -> Path:
    """`count` images in each of `folders`, all of them different."""
    for folder in folders:
        (root / folder).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            shade = len(list(root.rglob("*.png")))
            Image.new("L", (4, 4), shade).save(root / folder / f"{number}.png")
    return root


def grid(*tops: str) -> list[str]:
    return [f"{top}/{label}" for top in tops for label in ("cat", "dog")]


def counts(dataset: Dataset) -> dict[str, int]:
    return {split: len(indices) for split, indices in dataset.splits.items()}


def refusal(root: Path) -> str:
    with pytest.raises(DataError) as caught:
        open_data(root)
    assert "\n" not in str(caught.value)
    return str(caught.value)


SPELLINGS = {
    "train": "train Train TRAIN training trainset train_set train-set train_images TrainImages train-data trn tr "
    "01_train 1-training train2017 2024-05-01_train train_v2 trainval train_val",
    "val": "val Val valid validation val_set valset validation-images dev devset eval evaluation 02_val val2017",
    "test": "test Testing test_set testset TestData tst te holdout hold-out held_out 03_test test2017 test1",
}


@pytest.mark.parametrize(
    ("split", "name"), [(split, name) for split, names in SPELLINGS.items() for name in names.split()]
)
def test_every_usual_spelling_of_a_split_is_one(tmp_path: Path, split: str, name: str) -> None:
    other = "train" if split == "test" else "test"
    dataset = open_data(fill(tmp_path, *grid(name, other)))
    assert dataset.classes == ("cat", "dog")
    assert counts(dataset) == {split: 4, other: 4}
    assert split_named(name) == split


@pytest.mark.parametrize(
    "name", ["contest", "trains", "trainer", "latest", "tester", "invalid", "developer", "train_test", "2017", ""]
)
def test_words_that_only_resemble_a_split_are_none(name: str) -> None:
    assert split_named(name) is None


@pytest.mark.parametrize("prefix", ["seg_", "flowers-", "My Photos "])
def test_words_common_to_the_names_of_all_split_folders_do_not_count(tmp_path: Path, prefix: str) -> None:
    dataset = open_data(fill(tmp_path, *grid(f"{prefix}train", f"{prefix}test"), f"{prefix}pred/x"))
    assert dataset.classes == ("cat", "dog")
    assert counts(dataset) == {"train": 4, "test": 4}


@pytest.mark.parametrize("name", ["predictions", "unlabeled", "Inference", "unlabelled_images", "submission"])
def test_answers_and_images_without_labels_next_to_splits_are_skipped_by_name(tmp_path: Path, name: str) -> None:
    dataset = open_data(fill(tmp_path, *grid("train", "val", name)))
    assert dataset.classes == ("cat", "dog")
    assert counts(dataset) == {"train": 4, "val": 4}
    assert [f"{name} is neither train, val nor test: its 4 images are skipped" in c for c in dataset.cautions] == [True]


def test_a_caution_is_a_warning_of_the_audit(tmp_path: Path) -> None:
    dataset = open_data(fill(tmp_path, *grid("train", "test", "predictions")))
    assert any(sentence.startswith("predictions is neither") for sentence in audit(dataset).warnings)


@pytest.mark.parametrize("above", ["archive", "archive/images", "a/b/c"])
def test_splits_inside_folders_that_hold_nothing_else_are_found(tmp_path: Path, above: str) -> None:
    dataset = open_data(fill(tmp_path, *grid(f"{above}/train", f"{above}/test")))
    assert dataset.classes == ("cat", "dog")
    assert counts(dataset) == {"train": 4, "test": 4}


@pytest.mark.parametrize("again", ["train", "training", "images", "Train/data"])
def test_a_split_folder_may_be_repeated_inside(tmp_path: Path, again: str) -> None:
    dataset = open_data(fill(tmp_path, *grid(f"train/{again}", "test")))
    assert dataset.classes == ("cat", "dog")
    assert counts(dataset) == {"train": 4, "test": 4}


def test_train_may_hold_train_and_validation(tmp_path: Path) -> None:
    dataset = open_data(fill(tmp_path, *grid("training/train", "training/val", "testing")))
    assert dataset.classes == ("cat", "dog")
    assert counts(dataset) == {"train": 4, "val": 4, "test": 4}


def test_two_folders_of_one_split_are_read_together_and_named(tmp_path: Path) -> None:
    dataset = open_data(fill(tmp_path, *grid("train1", "train2", "test")))
    assert counts(dataset) == {"train": 8, "test": 4}
    assert dataset.cautions == ("train1, train2 are read together as the train split.",)


def test_class_folders_may_hold_the_splits(tmp_path: Path) -> None:
    dataset = open_data(fill(tmp_path, "cat/train", "cat/test", "dog/Training", "dog/testing"))
    assert dataset.classes == ("cat", "dog")
    assert counts(dataset) == {"train": 4, "test": 4}


def test_splits_in_some_class_folders_only_are_not_used_and_named(tmp_path: Path) -> None:
    dataset = open_data(fill(tmp_path, "cat/train", "cat/test", "dog"))
    assert not dataset.splits
    assert len(dataset.cautions) == 1
    assert "cat/test, cat/train have names of splits and are not used as such, because dog" in dataset.cautions[0]


def test_a_test_folder_without_classes_is_skipped_by_name(tmp_path: Path) -> None:
    dataset = open_data(fill(tmp_path, *grid("train"), "test"))
    assert dataset.classes == ("cat", "dog")
    assert counts(dataset) == {"train": 4}
    assert dataset.cautions == ("test holds no class folders: its 2 images have no class and are skipped.",)


def test_splits_without_class_folders_are_not_taken_for_two_classes(tmp_path: Path) -> None:
    sentence = refusal(fill(tmp_path, "train", "test1"))
    assert sentence.startswith(f"test1, train in {tmp_path} have names of splits, but hold images and no class folders")


@pytest.mark.parametrize("vehicle", ["train", "test", "unlabeled"])
def test_a_class_named_like_a_split_stays_a_class_and_is_reported(tmp_path: Path, vehicle: str) -> None:
    dataset = open_data(fill(tmp_path, vehicle, "bus", "car"))
    assert dataset.classes == tuple(sorted((vehicle, "bus", "car")))
    assert not dataset.splits
    assert [f"{vehicle}: named like a split, but read as a class" in caution for caution in dataset.cautions] == [True]


@pytest.mark.parametrize(
    ("folders", "named"),
    [
        (["cat", "dog", *grid("train")], ["cat, dog", "train", "the same classes"]),
        (grid("train", "extra"), ["train", "extra", "Name each split folder train, val or test"]),
        (grid("test", "entrenamiento"), ["test", "entrenamiento"]),
        (["train/steam", "train/diesel", "bus"], ["train", "bus", "give them names that mean no split"]),
        (grid("train", "test/fold1", "test/val"), []),
        (grid("test/train", "test/val", "train"), ["test", "train, val"]),
    ],
)
def test_a_mixture_is_refused_by_name(tmp_path: Path, folders: list[str], named: list[str]) -> None:
    fill(tmp_path, *folders)
    if named:
        sentence = refusal(tmp_path)
        assert all(words in sentence for words in named), sentence
    else:
        assert any("fold1" in caution for caution in open_data(tmp_path).cautions)


def test_other_folders_next_to_two_splits_are_skipped_by_name(tmp_path: Path) -> None:
    fill(tmp_path, *grid("train", "test"), "masks")
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "readme.txt").touch()
    dataset = open_data(tmp_path)
    assert counts(dataset) == {"train": 4, "test": 4}
    assert dataset.cautions[0].startswith("masks is neither train, val nor test: its 2 images are skipped.")
    assert dataset.notes == ("1 × without the suffix of an image, skipped: docs/readme.txt.",)


@pytest.mark.parametrize("tops", [("fold1", "fold2"), ("entrenamiento", "prueba"), ("A", "B")])
def test_folders_that_hold_the_same_folders_are_classes_with_a_caution(tmp_path: Path, tops: tuple[str, ...]) -> None:
    dataset = open_data(fill(tmp_path, *grid(*tops)))
    assert dataset.classes == tops
    assert dataset.cautions[0].startswith(
        f"{', '.join(tops)} are read as classes, and all of them hold the same folders (cat, dog)"
    )


def test_classes_and_splits_in_one_name_are_named(tmp_path: Path) -> None:
    dataset = open_data(fill(tmp_path, "cats_train", "cats_test", "dogs_train", "dogs_test"))
    assert len(dataset.classes) == 4
    assert "have names of classes and splits at once" in dataset.cautions[0]


def test_a_single_folder_around_the_classes_is_named(tmp_path: Path) -> None:
    sentence = refusal(fill(tmp_path, "photos/cat", "photos/dog"))
    assert sentence.endswith(f"If the folders in it are the classes (cat, dog), name {tmp_path / 'photos'} instead.")


@pytest.mark.parametrize("forms", [("NFC", "NFD"), ("NFD", "NFC")])
def test_class_names_in_either_unicode_form_are_one_class(tmp_path: Path, forms: tuple[Form, Form]) -> None:
    for split, form in zip(("train", "test"), forms, strict=True):
        fill(tmp_path, *(f"{split}/{unicodedata.normalize(form, name)}" for name in ("café", "Å", "한국", "が")))
    dataset = open_data(tmp_path)
    assert sorted(dataset.classes) == sorted(["café", "Å", "한국", "が"])
    assert len(dataset.store.read(len(dataset) - 1).pixels) == 4


def test_a_class_name_that_is_not_utf8_is_spelled_out(tmp_path: Path) -> None:
    fill(tmp_path, "caf\udce9", "the")
    dataset = open_data(tmp_path)
    assert dataset.classes == ("caf\\xe9", "the")
    assert dataset.store.name(0) == "caf\\xe9/0.png"
    assert dataset.store.read(0).original == (4, 4)
    assert audit(dataset).digest
