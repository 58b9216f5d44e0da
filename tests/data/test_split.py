"""Splits: by content, stratified, near duplicates together; what the data bring is never moved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from striate.core.errors import ConfigError
from striate.data.audit import audit
from striate.data.audit.digests import content_digests
from striate.data.audit.index import index_images
from striate.data.dataset import SPLITS, ArrayStore, Dataset, FileStore, Split, Splits, numbered
from striate.data.split import Fractions, by_content, cross_validation_splits, split


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRIATE_CACHE", str(tmp_path / "cache"))


def _dataset(pixels: np.ndarray, targets: np.ndarray, splits: Mapping[Split, np.ndarray] | None = None) -> Dataset:
    classes = tuple(f"class{number}" for number in range(int(targets.max()) + 1))
    return Dataset("made", ArrayStore(pixels, numbered("picture", len(pixels))), classes, targets, splits or {})


def _pixels(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 6, 5, 1), np.uint8)


def _splits(dataset: Dataset, fractions: Fractions | None = None) -> Splits:
    return split(dataset, index_images(dataset), fractions=fractions)


def _split_of(splits: Splits, count: int) -> np.ndarray:
    """The split of each of `count` images; "" for none."""
    found = np.full(count, "", object)
    for name, indices in splits.items():
        assert (found[indices] == "").all(), "an image in two splits"
        found[indices] = name
    return found


def test_everything_is_parted_once_and_each_class_by_the_shares() -> None:
    targets = np.repeat(np.arange(3, dtype=np.int64), [100, 51, 10])
    splits = _splits(_dataset(_pixels(161), targets))
    assert (np.sort(np.concatenate(list(splits.values()))) == np.arange(161)).all()
    assert np.bincount(targets[splits["val"]]).tolist() == [20, 10, 2]
    assert np.bincount(targets[splits["test"]]).tolist() == [20, 10, 2]


@pytest.mark.parametrize(("count", "expected"), [(1, (1, 0, 0)), (2, (2, 0, 0)), (3, (1, 1, 1)), (4, (2, 1, 1))])
def test_classes_of_a_few_images(count: int, expected: tuple[int, int, int]) -> None:
    targets = np.repeat(np.arange(2, dtype=np.int64), [count, 50])
    splits = _splits(_dataset(_pixels(count + 50), targets))
    assert tuple(np.count_nonzero(targets[splits[name]] == 0) for name in ("train", "val", "test")) == expected


@pytest.mark.parametrize(
    ("count", "fractions", "expected"),
    [
        (1, (0.0, 0.6), (1, 0, 0)),
        (2, (0.25, 0.25), (1, 1, 0)),
        (2, (0.1, 0.8), (1, 0, 1)),
        (3, (0.5, 0.4), (1, 1, 1)),
        (10, (0.45, 0.5), (1, 5, 4)),
    ],
)
def test_an_image_of_each_class_is_left_for_training(
    count: int, fractions: tuple[float, float], expected: tuple[int, int, int]
) -> None:
    """By hand: rounded, the fractions would take whole classes, as 2 · 0.25 + 2 · 0.25, each rounded up to 1."""
    targets = np.repeat(np.arange(2, dtype=np.int64), count)
    splits = _splits(_dataset(_pixels(2 * count), targets), Fractions(*fractions))
    for number in range(2):
        assert tuple(np.count_nonzero(targets[splits[name]] == number) for name in SPLITS) == expected


def test_parts_do_not_depend_on_names_or_order() -> None:
    pixels, targets = _pixels(200), np.arange(200, dtype=np.int64) % 4
    order = np.random.default_rng(1).permutation(200)
    straight, mixed = _splits(_dataset(pixels, targets)), _splits(_dataset(pixels[order], targets[order]))
    for name, indices in straight.items():
        assert set(order[mixed[name]].tolist()) == set(indices.tolist())


def test_an_image_more_moves_only_images_at_a_border() -> None:
    pixels, targets = _pixels(301), np.zeros(301, np.int64)
    before, after = _splits(_dataset(pixels[:300], targets[:300])), _splits(_dataset(pixels, targets))
    moved = sum(len(set(before[name].tolist()) - set(after[name].tolist())) for name in before)
    assert moved <= 2


def test_the_same_on_every_machine() -> None:
    digests = content_digests(_pixels(40), ("grey",))
    placed = by_content(digests, np.zeros(40, np.int64), {"val": 0.2, "test": 0.2})
    by_digest = sorted(range(40), key=lambda index: bytes(digests[index]))
    assert sorted(np.flatnonzero(placed == 0).tolist()) == sorted(by_digest[:8])
    assert sorted(np.flatnonzero(placed == 1).tolist()) == sorted(by_digest[8:16])
    assert digests[0].tobytes().hex() == "381e7cba03044ff97313ed68a59490a00df6915991437c7e0852d1324a23b3f4"


def test_equal_images_stay_together_across_classes_too() -> None:
    pixels = _pixels(120)
    pixels[60:90] = pixels[:30]
    targets = np.repeat(np.arange(2, dtype=np.int64), 60)
    splits = _splits(_dataset(pixels, targets))
    split_of = _split_of(splits, 120)
    assert (split_of[60:90] == split_of[:30]).all()
    assert {len(splits["val"]), len(splits["test"])} <= {23, 24, 25}


def test_a_group_larger_than_the_room_left_goes_elsewhere() -> None:
    digests = content_digests(_pixels(20), ("grey",))
    order = sorted(range(20), key=lambda index: bytes(digests[index]))
    groups = np.arange(20)
    groups[order[3:6]] = order[3]  # three that are alike, where one more fits
    placed = by_content(digests, np.zeros(20, np.int64), {"val": 0.2}, groups)
    assert placed[order].tolist() == [0, 0, 0, -1, -1, -1, 0, *[-1] * 13]


def test_a_split_that_stays_empty_takes_the_smallest_groups() -> None:
    """Each of two classes has groups of 4, 5, 6 and 7 images, where a fraction of 0.1 has room for 2."""
    sizes = [4, 5, 6, 7, 4, 5, 6, 7]
    groups, targets = np.repeat(np.arange(8), sizes), np.repeat(np.arange(2), 22)
    digests = content_digests(_pixels(44), ("grey",))
    placed = by_content(digests, targets, {"val": 0.1, "test": 0.1}, groups)
    chosen = [{*groups[placed == number].tolist()} for number in range(2)]
    assert {*chosen[0], *chosen[1]} == {0, 4}  # 4 of the 4.4 images that a tenth is
    assert [len(each) for each in chosen] == [1, 1]
    alone = by_content(digests, targets, {"val": 0.1}, np.repeat(np.arange(2), 22))
    assert (alone == -1).all(), "the only group of a class stays for training"


def test_groups_too_large_to_bind_are_parted() -> None:
    pixels = _pixels(300)
    pixels[:60] = pixels[0]
    dataset = _dataset(pixels, np.zeros(300, np.int64))
    assert (index_images(dataset).inseparable[:60] == np.arange(60)).all()
    pixels = _pixels(300)
    pixels[:10] = pixels[0]  # more than 1 %, and few
    splits = _splits(_dataset(pixels, np.zeros(300, np.int64)))
    assert sum(bool(set(range(10)) & set(indices.tolist())) for indices in splits.values()) == 1


def test_splits_of_the_data_do_not_change() -> None:
    pixels, targets = _pixels(100), np.arange(100, dtype=np.int64) % 2
    train, test = np.arange(80), np.arange(80, 100)
    splits = _splits(_dataset(pixels, targets, {"train": train, "test": test}))
    assert (splits["test"] == test).all()
    assert (np.sort(np.concatenate([splits["train"], splits["val"]])) == train).all()
    assert len(splits["val"]) == 20  # validation's quarter of what is not test
    whole: dict[Split, np.ndarray] = {"train": np.arange(50), "val": np.arange(50, 70), "test": np.arange(70, 100)}
    splits = _splits(_dataset(pixels, targets, whole))
    assert all((splits[name] == indices).all() for name, indices in whole.items())


def test_a_test_part_alone_is_left_alone() -> None:
    dataset = _dataset(_pixels(30), np.arange(30, dtype=np.int64) % 2, {"test": np.arange(30)})
    splits = _splits(dataset)
    assert len(splits["test"]) == 30
    assert len(splits["train"]) == len(splits["val"]) == 0


def test_images_in_no_part_join_training() -> None:
    dataset = _dataset(_pixels(30), np.zeros(30, np.int64), {"val": np.arange(5), "test": np.arange(5, 10)})
    assert _splits(dataset)["train"].tolist() == list(range(10, 30))


def test_large_training_parts_give_no_more_than_validation_needs() -> None:
    targets = np.zeros(27_000, np.int64)
    dataset = _dataset(_pixels(27_000), targets, {"train": np.arange(26_500), "test": np.arange(26_500, 27_000)})
    assert len(_splits(dataset)["val"]) == pytest.approx(5000, abs=1)


def test_unreadable_images_are_in_no_part(tmp_path: Path) -> None:
    names = [f"{number}.png" for number in range(4)]
    for name in names:
        (tmp_path / name).write_bytes(b"")
    dataset = Dataset("broken", FileStore(tmp_path, names), ("a", "b"), np.array([0, 0, 1, 1]), {"test": np.arange(2)})
    assert all(len(indices) == 0 for indices in _splits(dataset).values())


def test_a_part_that_lacks_a_class_is_named() -> None:
    dataset = _dataset(_pixels(52), np.repeat(np.arange(2, dtype=np.int64), [50, 2]))
    assert replace(audit(dataset), splits=_splits(dataset)).lacking == {"val": ("class1",), "test": ("class1",)}


@pytest.mark.parametrize(
    ("val", "test"), [(-0.1, 0.2), (0.5, 0.5), (0.2, 1.0), (float("nan"), 0.2), (0.2, float("nan"))]
)
def test_impossible_shares_are_a_sentence(val: float, test: float) -> None:
    with pytest.raises(ConfigError, match="their sum is below 1"):
        Fractions(val, test)


def test_no_share_makes_no_part() -> None:
    splits = _splits(_dataset(_pixels(50), np.zeros(50, np.int64)), Fractions(0.2, 0.0))
    assert {name: len(indices) for name, indices in splits.items()} == {"train": 40, "val": 10, "test": 0}


def test_no_group_is_in_two_splits() -> None:
    """Of 40 patients with 1 to 7 images each, of both classes; an image without a patient is a group of its own."""
    sizes = 1 + np.arange(40) % 7
    patients = np.random.default_rng(3).permutation(np.repeat(np.arange(40), sizes))
    dataset = _dataset(_pixels(len(patients)), np.arange(len(patients), dtype=np.int64) % 2)
    split_of = _split_of(_splits(replace(dataset, groups=patients)), len(patients))
    assert set(split_of.tolist()) == set(SPLITS)
    assert all(len(set(split_of[patients == patient])) == 1 for patient in range(40))
    alone = _splits(replace(dataset, groups=np.arange(len(patients))))
    assert all((alone[name] == indices).all() for name, indices in _splits(dataset).items())


def test_groups_and_near_duplicates_that_meet_stay_together() -> None:
    """Images 0 and 1 are equal, 1 and 2 of one group, 2 and 3 equal: by hand, 0 to 3 are inseparable."""
    pixels = _pixels(60)
    pixels[1], pixels[3] = pixels[0], pixels[2]
    groups = np.arange(100, 160)
    groups[2] = groups[1]
    dataset = replace(_dataset(pixels, np.zeros(60, np.int64)), groups=groups)
    for fractions in (Fractions(0.2, 0.2), Fractions(0.45, 0.5), Fractions(0.1, 0.0)):
        splits = split(dataset, index_images(dataset), fractions=fractions)
        assert len(set(_split_of(splits, 60)[:4])) == 1
    for fold in cross_validation_splits(dataset, index_images(dataset), folds=10):
        assert len(set(_split_of(fold, 60)[:4])) == 1


def test_there_is_a_group_for_each_image() -> None:
    dataset = _dataset(_pixels(20), np.zeros(20, np.int64))
    with pytest.raises(ValueError, match="19 groups for 20 images"):
        replace(dataset, groups=np.zeros(19, np.int64))


@pytest.mark.parametrize("folds", [2, 3, 5, 10])
def test_each_image_is_in_one_test_fold_and_classes_are_even(folds: int) -> None:
    targets = np.repeat(np.arange(3, dtype=np.int64), [100, 50, 11])
    dataset = _dataset(_pixels(161), targets)
    found = cross_validation_splits(dataset, index_images(dataset), folds=folds)
    assert len(found) == folds
    assert (np.sort(np.concatenate([fold["test"] for fold in found])) == np.arange(161)).all()
    counts = np.stack([np.bincount(targets[fold["test"]], minlength=3) for fold in found])
    assert (counts.max(0) - counts.min(0) <= 1).all()
    assert np.ptp(counts.sum(1)) <= 1
    for fold in found:
        assert (_split_of(fold, 161) != "").all()  # what is not tested is learned from or validated by
        assert len(fold["val"]) == pytest.approx(0.2 * 161, abs=2)
        assert all((np.diff(indices) > 0).all() for indices in fold.values())


def test_no_group_and_no_near_duplicates_are_in_two_splits_of_a_fold() -> None:
    pixels = _pixels(120)
    pixels[60:90] = pixels[:30]
    patients = np.arange(120) // 4
    dataset = replace(_dataset(pixels, np.arange(120, dtype=np.int64) // 60), groups=patients)
    for fold in cross_validation_splits(dataset, index_images(dataset), folds=4):
        split_of = _split_of(fold, 120)
        assert (split_of[60:90] == split_of[:30]).all()
        assert all(len(set(split_of[patients == patient])) == 1 for patient in range(30))


def test_folds_do_not_depend_on_names_or_order() -> None:
    pixels, targets = _pixels(90), np.arange(90, dtype=np.int64) % 3
    order = np.random.default_rng(1).permutation(90)
    straight, mixed = _dataset(pixels, targets), _dataset(pixels[order], targets[order])
    pairs = zip(*(cross_validation_splits(one, index_images(one)) for one in (straight, mixed)), strict=True)
    for one, other in pairs:
        assert all(set(order[other[name]].tolist()) == set(one[name].tolist()) for name in SPLITS)


def test_a_test_split_of_the_data_is_in_no_fold() -> None:
    dataset = _dataset(
        _pixels(50), np.arange(50, dtype=np.int64) % 2, {"test": np.arange(10), "val": np.arange(10, 20)}
    )
    found = cross_validation_splits(dataset, index_images(dataset), folds=4)
    assert np.sort(np.concatenate([fold["test"] for fold in found])).tolist() == list(range(10, 50))
    assert all((_split_of(fold, 50)[:10] == "").all() for fold in found)


@pytest.mark.parametrize(("folds", "val"), [(1, 0.2), (0, 0.2), (2, 0.5), (5, 0.8), (5, 0.0), (31, 0.1)])
def test_impossible_folds_are_a_sentence(folds: int, val: float) -> None:
    dataset = _dataset(_pixels(30), np.zeros(30, np.int64))
    with pytest.raises(ConfigError, match=f"received {folds} folds"):
        cross_validation_splits(dataset, index_images(dataset), folds=folds, val=val)
