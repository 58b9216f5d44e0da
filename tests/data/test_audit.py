"""The audit: each thing that may be wrong with data, planted and found."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from reference.parts import first_images
from striate.data.audit import Audit, audit
from striate.data.audit.warnings import many
from striate.data.dataset import ArrayStore, Dataset, numbered
from striate.data.sources.digits import digits
from striate.data.sources.opening import open_data
from striate.data.split import split
from striate.data.synthetic.shapes import ShapesOptions, make


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRIATE_CACHE", str(tmp_path.with_name(f"{tmp_path.name} cache")))


@pytest.fixture
def found(tmp_path: Path) -> Audit:
    """The audit of a folder with train and test, in which one of everything is wrong."""
    pictures = [Image.fromarray(pixels).resize((96, 80)) for pixels in make(np.arange(60), ShapesOptions()).pixels]
    places = {
        "train/cat": pictures[:36],
        "train/dog": pictures[36:40],
        "test/cat": pictures[40:50],
        "test/class10": [],
        "test/class2": [pictures[59]],
    }
    root = tmp_path / "photos"
    for place, content in places.items():
        (root / place).mkdir(parents=True)
        for number, picture in enumerate(content):
            picture.save(root / place / f"{number:02}.png")
    turned = Image.Exif()
    turned[0x0112] = 8
    pictures[50].save(root / "train/cat/turned.jpg", exif=turned)
    pictures[51].convert("L").save(root / "train/cat/grey.png")
    pictures[52].resize((30, 40)).save(root / "train/cat/small.png")
    (root / "train/cat/empty.jpg").write_bytes(b"")
    (root / "train/dog/cut.png").write_bytes((root / "train/cat/00.png").read_bytes()[:500])
    pictures[0].save(root / "train/dog/the-cat-again.png")  # equal, other label
    pictures[1].save(root / "test/cat/the-same.bmp")  # equal, across splits
    pictures[2].save(root / "test/cat/nearly.jpg", quality=60)  # alike, across splits
    return _divided(audit(open_data(root)))


def _divided(found: Audit) -> Audit:
    return replace(found, splits=split(found.dataset, found.index))


def _kinds(found: Audit, level: str) -> set[str]:
    return {finding.kind for finding in found.findings if finding.level == level}


def _sentence(found: Audit, kind: str) -> str:
    (finding,) = [finding for finding in found.findings if finding.kind == kind]
    return finding.sentence


def test_everything_planted_is_found(found: Audit) -> None:
    assert _kinds(found, "warning") == {
        "unreadable",
        "equal, other label",
        "equal, across splits",
        "alike, across splits",
        "missing class",
        "tiny class",
        "imbalance",
    }
    assert {"equal", "alike", "mixed channels", "rotated"} <= _kinds(found, "note")


def test_classes_are_counted_in_natural_order(found: Audit) -> None:
    names = [row.name for row in found.classes]
    assert names == sorted(names, key=["cat", "class2", "class10", "dog"].index)
    rows = {row.name: row for row in found.classes}
    assert (rows["cat"].total, rows["cat"].train + rows["cat"].val, rows["cat"].test) == (51, 39, 12)
    assert (rows["dog"].total, rows["dog"].test) == (5, 0)


def test_unreadable_images_are_named_with_their_reasons(found: Audit) -> None:
    assert {(row.name, row.reason) for row in found.unread} == {
        ("train/cat/empty.jpg", "empty"),
        ("train/dog/cut.png", "truncated"),
    }
    assert _sentence(found, "unreadable") in (
        "2 images of 59 cannot be read and are left out: 1 empty, 1 truncated.",
        "2 images of 59 cannot be read and are left out: 1 truncated, 1 empty.",
    )


def test_duplicates_are_named_with_classes_and_parts(found: Audit) -> None:
    equal = {frozenset(group.names): group for group in found.groups if group.kind == "equal"}
    label = equal[frozenset({"train/cat/00.png", "train/dog/the-cat-again.png"})]
    assert label.classes == ("cat", "dog")
    (named,) = next(each.names for each in found.findings if each.kind == "equal, other label")
    assert set(named.split(" = ")) == {"train/cat/00.png (cat)", "train/dog/the-cat-again.png (dog)"}
    leak = equal[frozenset({"train/cat/01.png", "test/cat/the-same.bmp"})]
    assert leak.classes == ("cat",)
    assert len(leak.splits) == 2
    (alike,) = [group for group in found.groups if group.kind == "alike"]
    assert set(alike.names) == {"train/cat/02.png", "test/cat/nearly.jpg"}


def test_sizes_kinds_and_rotation(found: Audit) -> None:
    assert found.sizes is not None
    assert (found.sizes.smallest, found.sizes.distinct) == ((40, 30), 3)
    assert found.sizes.median == (80, 96)
    assert found.rotated == 1
    assert sum(row.count for row in found.kinds) == found.images - 2


def test_json_holds_it_all(found: Audit) -> None:
    content = json.loads(json.dumps(found.to_json()))
    assert content["images"] == 59
    assert {row["name"] for row in content["unreadable"]} == {row.name for row in found.unread}
    assert [row["sentence"] for row in content["findings"]] == [finding.sentence for finding in found.findings]
    assert len(content["duplicates"]) == len(found.groups)
    assert content["digest"] == found.digest
    assert sum(content["splits"].values()) == 57


def test_sentences_are_whole(found: Audit) -> None:
    for finding in found.findings:
        assert finding.sentence[0].isupper() or finding.sentence[0].isdigit() or finding.kind == "imbalance"
        assert finding.sentence.endswith(".")
    assert [many(1, "class"), many(2, "class"), many(1200, "image")] == ["1 class", "2 classes", "1,200 images"]


def test_a_group_above_one_percent_is_reported() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (400, 5, 5, 1), np.uint8)
    pixels[:12] = 255
    targets = np.arange(400, dtype=np.int64) % 2
    found = audit(Dataset("blank", ArrayStore(pixels, numbered("page", 400)), ("a", "b"), targets))
    assert "equal, large group" in _kinds(found, "warning")
    assert next(group for group in found.groups).large


def test_groups_that_the_data_divide_between_splits_are_named(tmp_path: Path) -> None:
    """Patient p is in train and test, q in train only, r in val and (unplaced, thus) in train; s is never placed."""
    rows = ("p,train", "p,test", "p,train", "q,train", "q,train", "r,val", "r,", "s,", ",train", ",test")
    for number in range(len(rows)):
        Image.new("L", (8, 8), 20 * number).save(tmp_path / f"{number}.png")
    lines = [f"{number}.png,{'ab'[number % 2]},{row}" for number, row in enumerate(rows)]
    (tmp_path / "list.csv").write_text("\n".join(["path,label,group,split", *lines]))
    brought = audit(open_data(tmp_path / "list.csv"))
    (finding,) = [finding for finding in brought.findings if finding.kind == "group, across splits"]
    assert finding.names == ("0.png + 1.png + 2.png (train, test)",)
    divided = _divided(brought)
    assert [group.names for group in divided.parted] == [("0.png", "1.png", "2.png"), ("5.png", "6.png")]
    assert any(sentence.startswith("2 groups of images that the data bind together") for sentence in divided.warnings)


def test_good_data_have_no_warning() -> None:
    found = _divided(audit(digits()))
    assert found.warnings == ()
    assert _sentence(found, "contents") == "1,797 images in 10 classes, all of 8×8 pixels."
    assert _kinds(found, "fine") == {"contents", "equal"}  # too small to be compared for likeness
    assert {name: len(indices) for name, indices in found.splits.items()} == {"train": 1079, "val": 359, "test": 359}


def test_a_part_of_mnist_has_no_duplicates_across_labels(real_data: Callable[[str], Path], tmp_path: Path) -> None:
    found = audit(open_data(first_images(real_data("mnist"), tmp_path / "mnist", train=6_000, test=2_000)))
    assert found.images == 8_000
    assert not [group for group in found.groups if len(group.classes) > 1]
    assert found.warnings == ()
    assert len(found.splits["test"]) == 2_000


def test_photos_have_no_warning(real_data: Callable[[str], Path]) -> None:
    found = audit(open_data(real_data("photos-dog-cat")))
    assert found.warnings == ()
    assert [(row.name, row.total) for row in found.classes] == [("cat", 200), ("dog", 200)]
    assert "alike" in _kinds(found, "fine")


def _noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """Twenty 8-bit images in colour, one of 16 bits in grey, one of floating values, and one of five channels."""
    for number in range(20):
        path = tmp_path / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(_noise(9, 9, 3, seed=number)).save(path)
    Image.fromarray(_noise(9, 9).astype(np.uint16) * 100).save(tmp_path / "a" / "deep.png")
    tifffile.imwrite(tmp_path / "a" / "light.tif", _noise(9, 9).astype(np.float32) / 7)
    tifffile.imwrite(tmp_path / "b" / "five.tif", _noise(9, 9, 5), photometric="minisblack", planarconfig="contig")
    return tmp_path


def test_an_image_of_other_channels_is_named_and_in_no_split(mixed: Path) -> None:
    found = audit(open_data(mixed))
    (row,) = found.unread
    assert (row.name, row.reason) == ("b/five.tif", "other channels")
    assert "channel5; most have: red, green, blue" in row.detail
    assert sum(len(indices) for indices in _divided(found).splits.values()) == 22


def test_mixed_depths_are_reported_with_the_names_of_the_images(mixed: Path) -> None:
    (finding,) = [finding for finding in audit(open_data(mixed)).findings if finding.kind == "mixed depths"]
    assert "20 with 8 bits, 1 with 16 bits, 1 with floating values. All are prepared with 8 bits" in finding.sentence
    assert "floating values below 0 and above 1 are cut off" in finding.sentence
    assert finding.names == ("a/deep.png", "a/light.tif")


def test_where_the_channels_are_given_those_count_and_not_the_most(mixed: Path) -> None:
    """As for a classifier that is judged on images of which most are of another kind."""
    channels = tuple(f"channel{number}" for number in range(1, 6))
    found = audit(open_data(mixed), channels=channels)
    assert (len(found.unread), found.index.readable.sum()) == (22, 1)


def test_an_image_that_is_read_although_its_file_is_irregular_is_noted(tmp_path: Path) -> None:
    for label in ("a", "b"):
        (tmp_path / label).mkdir()
        for number in range(3):
            pixels = np.random.default_rng(number).integers(0, 256, (20, 20, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / label / f"{number}.jpg")
    untidy = tmp_path / "a" / "0.jpg"
    data = untidy.read_bytes()
    at = data.index(b"\xff\xdb")
    untidy.write_bytes(data[:at] + bytes(7) + data[at:])
    found = audit(open_data(tmp_path))
    (finding,) = [finding for finding in found.findings if finding.kind == "noted"]
    assert finding.sentence.startswith("1 image is read")
    assert "7 extraneous bytes" in finding.names[0]


def test_the_audit_alone_takes_the_splits_of_the_data_and_makes_none() -> None:
    dataset = replace(digits(), splits={})
    assert all(len(indices) == 0 for indices in audit(dataset).splits.values())
    brought = replace(dataset, splits={"test": np.array([5, 3])})
    assert {name: indices.tolist() for name, indices in audit(brought).splits.items()} == {
        "train": [],
        "val": [],
        "test": [3, 5],
    }


def test_other_splits_are_audited_without_reading_the_images_again(found: Audit) -> None:
    """A leak and a missing class follow the splits; what the images are does not."""
    places = {name: number for number, name in enumerate(found.dataset.store.names)}
    cats = np.array([places["train/cat/00.png"], places["train/cat/01.png"]])
    again = places["train/dog/the-cat-again.png"]
    other = replace(found, splits={"train": cats[:1], "val": cats[1:], "test": np.array([again])})
    assert other.index is found.index
    assert other.sizes == found.sizes
    leaks = [group.names for group in other.groups if len(group.splits) > 1]
    assert leaks == [("train/cat/00.png", "train/dog/the-cat-again.png")]
    assert other.lacking["train"] == ("class2", "dog")
    assert [(row.train, row.val, row.test) for row in other.classes] == [(1, 1, 0), (0, 0, 0), (0, 0, 1)]
