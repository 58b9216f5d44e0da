"""Parts: by content, stratified, look-alikes together; what the data bring is never moved."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from striate.core.errors import ConfigError
from striate.data.audit.digests import content_digests
from striate.data.audit.survey import survey
from striate.data.dataset import ArrayStore, Dataset, FileStore, Split, numbered
from striate.data.split import Fractions, Parts, by_content, lacking, split


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRIATE_CACHE", str(tmp_path / "cache"))


def _dataset(pixels: np.ndarray, targets: np.ndarray, splits: Mapping[Split, np.ndarray] | None = None) -> Dataset:
    classes = tuple(f"class{number}" for number in range(int(targets.max()) + 1))
    return Dataset("made", ArrayStore(pixels, numbered("picture", len(pixels))), classes, targets, splits or {})


def _pixels(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 6, 5, 1), np.uint8)


def _parts(dataset: Dataset, fractions: Fractions | None = None) -> Parts:
    return split(dataset, survey(dataset), fractions)


def test_everything_is_parted_once_and_each_class_by_the_shares() -> None:
    targets = np.repeat(np.arange(3, dtype=np.int64), [100, 51, 10])
    parts = _parts(_dataset(_pixels(161), targets))
    assert (np.sort(np.concatenate(list(parts.values()))) == np.arange(161)).all()
    assert np.bincount(targets[parts["val"]]).tolist() == [20, 10, 2]
    assert np.bincount(targets[parts["test"]]).tolist() == [20, 10, 2]


@pytest.mark.parametrize(("count", "expected"), [(1, (1, 0, 0)), (2, (2, 0, 0)), (3, (1, 1, 1)), (4, (2, 1, 1))])
def test_classes_of_a_few_pictures(count: int, expected: tuple[int, int, int]) -> None:
    targets = np.repeat(np.arange(2, dtype=np.int64), [count, 50])
    parts = _parts(_dataset(_pixels(count + 50), targets))
    assert tuple(np.count_nonzero(targets[parts[part]] == 0) for part in ("train", "val", "test")) == expected


def test_parts_do_not_depend_on_names_or_order() -> None:
    pixels, targets = _pixels(200), np.arange(200, dtype=np.int64) % 4
    order = np.random.default_rng(1).permutation(200)
    straight, mixed = _parts(_dataset(pixels, targets)), _parts(_dataset(pixels[order], targets[order]))
    for part, indices in straight.items():
        assert set(order[mixed[part]].tolist()) == set(indices.tolist())


def test_a_picture_more_moves_only_pictures_at_a_border() -> None:
    pixels, targets = _pixels(301), np.zeros(301, np.int64)
    before, after = _parts(_dataset(pixels[:300], targets[:300])), _parts(_dataset(pixels, targets))
    moved = sum(len(set(before[part].tolist()) - set(after[part].tolist())) for part in before)
    assert moved <= 2


def test_the_same_on_every_machine() -> None:
    digests = content_digests(_pixels(40), ("grey",))
    placed = by_content(digests, np.zeros(40, np.int64), {"val": 0.2, "test": 0.2})
    by_digest = sorted(range(40), key=lambda index: bytes(digests[index]))
    assert sorted(np.flatnonzero(placed == 0).tolist()) == sorted(by_digest[:8])
    assert sorted(np.flatnonzero(placed == 1).tolist()) == sorted(by_digest[8:16])
    assert digests[0].tobytes().hex() == "381e7cba03044ff97313ed68a59490a00df6915991437c7e0852d1324a23b3f4"


def test_equal_pictures_stay_together_across_classes_too() -> None:
    pixels = _pixels(120)
    pixels[60:90] = pixels[:30]
    targets = np.repeat(np.arange(2, dtype=np.int64), 60)
    parts = _parts(_dataset(pixels, targets))
    part = np.empty(120, object)
    for name, indices in parts.items():
        part[indices] = name
    assert (part[60:90] == part[:30]).all()
    assert {len(parts["val"]), len(parts["test"])} <= {23, 24, 25}


def test_a_group_larger_than_the_room_left_goes_elsewhere() -> None:
    digests = content_digests(_pixels(20), ("grey",))
    order = sorted(range(20), key=lambda index: bytes(digests[index]))
    groups = np.arange(20)
    groups[order[3:6]] = order[3]  # three that are alike, where one more fits
    placed = by_content(digests, np.zeros(20, np.int64), {"val": 0.2}, groups)
    assert placed[order].tolist() == [0, 0, 0, -1, -1, -1, 0, *[-1] * 13]


def test_groups_too_large_to_bind_are_parted() -> None:
    pixels = _pixels(300)
    pixels[:60] = pixels[0]
    dataset = _dataset(pixels, np.zeros(300, np.int64))
    assert (survey(dataset).together[:60] == np.arange(60)).all()
    pixels = _pixels(300)
    pixels[:10] = pixels[0]  # more than 1 %, and few
    parts = _parts(_dataset(pixels, np.zeros(300, np.int64)))
    assert sum(bool(set(range(10)) & set(indices.tolist())) for indices in parts.values()) == 1


def test_what_the_data_bring_is_not_moved() -> None:
    pixels, targets = _pixels(100), np.arange(100, dtype=np.int64) % 2
    train, test = np.arange(80), np.arange(80, 100)
    parts = _parts(_dataset(pixels, targets, {"train": train, "test": test}))
    assert (parts["test"] == test).all()
    assert (np.sort(np.concatenate([parts["train"], parts["val"]])) == train).all()
    assert len(parts["val"]) == 20  # validation's quarter of what is not test
    whole: dict[Split, np.ndarray] = {"train": np.arange(50), "val": np.arange(50, 70), "test": np.arange(70, 100)}
    parts = _parts(_dataset(pixels, targets, whole))
    assert all((parts[part] == indices).all() for part, indices in whole.items())


def test_a_test_part_alone_is_left_alone() -> None:
    dataset = _dataset(_pixels(30), np.arange(30, dtype=np.int64) % 2, {"test": np.arange(30)})
    parts = _parts(dataset)
    assert len(parts["test"]) == 30
    assert len(parts["train"]) == len(parts["val"]) == 0


def test_pictures_in_no_part_join_training() -> None:
    dataset = _dataset(_pixels(30), np.zeros(30, np.int64), {"val": np.arange(5), "test": np.arange(5, 10)})
    assert _parts(dataset)["train"].tolist() == list(range(10, 30))


def test_large_training_parts_give_no_more_than_validation_needs() -> None:
    targets = np.zeros(40_000, np.int64)
    dataset = _dataset(_pixels(40_000), targets, {"train": np.arange(39_000), "test": np.arange(39_000, 40_000)})
    assert len(_parts(dataset)["val"]) == pytest.approx(5000, abs=1)


def test_unreadable_pictures_are_in_no_part(tmp_path: Path) -> None:
    names = [f"{number}.png" for number in range(4)]
    for name in names:
        (tmp_path / name).write_bytes(b"")
    dataset = Dataset("broken", FileStore(tmp_path, names), ("a", "b"), np.array([0, 0, 1, 1]), {"test": np.arange(2)})
    assert all(len(indices) == 0 for indices in _parts(dataset).values())


def test_a_part_that_lacks_a_class_is_named() -> None:
    dataset = _dataset(_pixels(52), np.repeat(np.arange(2, dtype=np.int64), [50, 2]))
    assert lacking(dataset, _parts(dataset)) == {"val": ("class1",), "test": ("class1",)}


@pytest.mark.parametrize(("val", "test"), [(-0.1, 0.2), (0.5, 0.5), (0.2, 1.0)])
def test_impossible_shares_are_a_sentence(val: float, test: float) -> None:
    with pytest.raises(ConfigError, match="leave something to train on"):
        Fractions(val, test)


def test_no_share_makes_no_part() -> None:
    parts = _parts(_dataset(_pixels(50), np.zeros(50, np.int64)), Fractions(0.2, 0.0))
    assert {part: len(indices) for part, indices in parts.items()} == {"train": 40, "val": 10, "test": 0}
