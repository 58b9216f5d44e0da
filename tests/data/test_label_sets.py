"""CSV files in which an image has several labels, and how such images are divided."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from striate.core.errors import DataError
from striate.data.audit import audit
from striate.data.dataset import ArrayStore, Dataset, numbered
from striate.data.sources.opening import open_data
from striate.data.split import by_content


def _list(folder: Path, *lines: str) -> Path:
    for name in "abc":
        Image.fromarray(np.full((4, 4), ord(name), np.uint8)).save(folder / f"{name}.png")
    (path := folder / "list.csv").write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize(
    "lines",
    [
        ("path,labels", "a.png,dog; cat", "b.png,", "c.png,cat;cat"),
        ("path;labels", "a.png;dog|cat", "b.png;", "c.png;cat"),
        ("Path,Cat,dog,", "a.png,1,1.0,0", "b.png,0,0,1", "c.png,TRUE,false,2"),
    ],
)
def test_images_may_have_several_labels(tmp_path: Path, lines: tuple[str, ...]) -> None:
    dataset = open_data(_list(tmp_path, *lines))
    assert tuple(name.lower() for name in dataset.classes) == ("cat", "dog")
    assert dataset.targets.tolist() == [[True, True], [False, False], [True, False]]
    assert [dataset.label(0).lower(), dataset.label(1)] == ["cat, dog", ""]
    assert dataset.class_counts(np.arange(3)).tolist() == [2, 1]
    assert dataset.having(0).tolist() == [True, False, True]


@pytest.mark.parametrize("kind", [bool, np.int64, np.float32])
def test_the_columns_of_an_npz_file_are_classes(tmp_path: Path, kind: type) -> None:
    labels, pixels = np.array([[1, 1, 0], [0, 0, 0], [0, 0, 1]], kind), np.zeros((3, 4, 4), np.uint8)
    np.savez(tmp_path / "a.npz", x_train=pixels, y_train=labels, x_test=pixels[:1], y_test=labels[:1])
    dataset = open_data(tmp_path / "a.npz")
    assert dataset.has_label_sets
    assert dataset.classes == ("0", "1", "2")
    assert dataset.targets.tolist() == [[True, True, False], [False] * 3, [False, False, True], [True, True, False]]
    assert dataset.splits["test"].tolist() == [3]
    np.savez(tmp_path / "b.npz", x=pixels, y=labels, classes=np.array(["dog", "cat", "bird"]))
    assert open_data(tmp_path / "b.npz").label(0) == "dog, cat"


def test_one_hot_labels_of_an_npz_file_are_single_classes(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.zeros((3, 4, 4), np.uint8), y=np.eye(3)[[2, 0, 2]])
    dataset = open_data(tmp_path / "a.npz")
    assert not dataset.has_label_sets
    assert dataset.targets.tolist() == [2, 0, 2]


@pytest.mark.parametrize(
    ("arrays", "sentence"),
    [
        ({"y": np.array([[1, 2], [0, 1]])}, "or a column of 0 and 1 for each class; received int64 (2, 2)"),
        ({"y": np.eye(2), "classes": np.array(["a", "b", "c"])}, "names 3 classes; its labels have 2 columns"),
        (
            {"y": np.eye(2), "x_test": np.zeros((1, 4, 4), np.uint8), "y_test": np.ones((1, 3))},
            "same number of columns",
        ),
    ],
    ids=["values", "names", "splits"],
)
def test_columns_of_an_npz_file_that_do_not_fit_are_one_sentence(
    tmp_path: Path, arrays: dict[str, Any], sentence: str
) -> None:
    np.savez(tmp_path / "a.npz", x=np.zeros((2, 4, 4), np.uint8), **arrays)
    with pytest.raises(DataError) as caught:
        open_data(tmp_path / "a.npz")
    assert sentence in str(caught.value)


def test_a_class_that_no_image_has_is_known_from_its_column(tmp_path: Path) -> None:
    lines = ("path,cat,dog,bird,split", "a.png,1,0,0,train", "b.png,0,1,0,train", "c.png,1,1,0,test")
    dataset = open_data(_list(tmp_path, *lines))
    assert dataset.classes == ("bird", "cat", "dog")
    assert dataset.splits["test"].tolist() == [2]


def test_in_the_column_label_a_semicolon_is_part_of_the_name(tmp_path: Path) -> None:
    dataset = open_data(_list(tmp_path, "path,label", "a.png,cat;dog", "b.png,cat"))
    assert dataset.classes == ("cat", "cat;dog")
    assert not dataset.has_label_sets


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (("path,cat,age", "a.png,1,0", "b.png,0,35"), r"no column 'label'.*each class; 'age' holds '35' in line 3\."),
        (("path,labels", "a.png,cat;dog", "./a.png,cat"), r"twice, in lines 2 and 3, with the labels 'cat;dog' and 'c"),
    ],
)
def test_mistakes_are_one_sentence(tmp_path: Path, lines: tuple[str, ...], expected: str) -> None:
    with pytest.raises(DataError, match=expected):
        open_data(_list(tmp_path, *lines))


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (
            ("path,labels", 'a.png,"cat, dog"', "b.png,cat", "c.png,dog"),
            "1 class is made of the names of others: 'cat, dog'",
        ),
        (
            ("path,label", "a.png,cat dog", "b.png,cat", "c.png,dog"),
            "1 class is made of the names of others: 'cat dog'",
        ),
        (("path,labels", "a.png,cat;dog", "b.png,cat", "c.png,dog"), None),
        (("path,label", "a.png,hot dog", "b.png,cat", "c.png,dog"), None),
    ],
)
def test_labels_that_were_not_separated_are_a_warning(
    tmp_path: Path, lines: tuple[str, ...], expected: str | None
) -> None:
    found = open_data(_list(tmp_path, *lines)).cautions
    assert len(found) == (expected is not None)
    assert expected is None or found[0].startswith(expected)


def test_rare_labels_are_divided_evenly_where_few_combinations_repeat() -> None:
    draws = np.random.default_rng(0)
    targets = draws.random((600, 14)) < [0.05, *[0.3] * 13]
    store = ArrayStore(np.zeros((600, 1, 1, 1), np.uint8), numbered("image", 600))
    dataset = Dataset("many", store, tuple("abcdefghijklmn"), targets)
    digests = draws.integers(0, 256, (600, 32)).astype(np.uint8)
    placed = by_content(digests, dataset.strata, {"val": 0.2, "test": 0.2})
    rare = targets[:, 0]
    assert abs((placed[rare] == 1).sum() - 0.2 * rare.sum()) <= 1
    assert abs((placed == 1).sum() - 120) <= 6


def test_equal_images_of_which_one_has_no_label_contradict_each_other(tmp_path: Path) -> None:
    listed = _list(tmp_path, "path,labels", "a.png,dog;cat", "b.png,", "c.png,cat", "d.png,")
    for name, like in (("b", "a"), ("d", "c")):
        (tmp_path / f"{name}.png").write_bytes((tmp_path / f"{like}.png").read_bytes())
    found = {each.kind: each for each in audit(open_data(listed)).findings}
    assert sorted(found["equal, other label"].names) == [
        "a.png (cat, dog) = b.png (no label)",
        "c.png (cat) = d.png (no label)",
    ]
