"""Data prepared for a run: divided by the program, or in splits that are given."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from striate.core.device import ExecutionPlan
from striate.core.errors import DataError, RunError
from striate.data.audit import Audit, audit
from striate.data.dataset import SPLITS, Splits
from striate.data.sources.opening import open_data
from striate.data.split import cross_validation_splits, split
from striate.runs.folder import Run, check_name
from striate.runs.images import own_splits
from striate.runs.origin import Origin
from striate.runs.plan import Plan
from striate.runs.prepare import Prepared, prepare_again, prepare_data
from striate.runs.recipes import RECIPES


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRIATE_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def found(tmp_path: Path) -> Audit:
    """The audit of 15 images of noise of each of two classes."""
    draws = np.random.default_rng(0)
    for label in ("a", "b"):
        (tmp_path / "photos" / label).mkdir(parents=True)
        for number in range(15):
            pixels = draws.integers(0, 256, (9, 9, 3), np.uint8)
            Image.fromarray(pixels).save(tmp_path / "photos" / label / f"{number:02}.png")
    return audit(open_data(tmp_path / "photos"))


def prepared(found: Audit, splits: Splits | None = None) -> Prepared:
    return prepare_data(RECIPES["photos"](), found, splits)


def same(one: Splits, other: Splits) -> bool:
    return all(np.array_equal(one[name], other[name]) for name in SPLITS)


def test_without_splits_the_data_are_divided(found: Audit) -> None:
    assert same(prepared(found).splits, split(found.dataset, found.index))
    assert prepared(found).digest == found.digest


def test_given_splits_are_used_as_they_are_and_change_the_digest(found: Audit) -> None:
    folds = cross_validation_splits(found.dataset, found.index, folds=3)
    runs = [prepared(found, fold) for fold in folds]
    assert all(same(run.splits, fold) for run, fold in zip(runs, folds, strict=True))
    assert len({found.digest, *(run.digest for run in runs)}) == 4
    assert [run.counts["test"] for run in runs] == [10, 10, 10]
    partial: Splits = {**folds[0], "test": folds[0]["test"][:0]}
    assert prepared(found, partial).counts == {"train": 14, "val": 6}  # what is in no split is left out


def test_an_image_in_two_splits_is_refused(found: Audit) -> None:
    fold = cross_validation_splits(found.dataset, found.index)[0]
    with pytest.raises(ValueError, match="not disjoint"):
        prepared(found, {**fold, "val": fold["test"]})


def test_without_images_to_validate_by_no_training_begins(found: Audit) -> None:
    fold = cross_validation_splits(found.dataset, found.index)[0]
    with pytest.raises(DataError, match="no image for the validation split"):
        prepared(found, {**fold, "val": fold["val"][:0]})


def test_a_run_on_given_splits_goes_on_with_them(found: Audit, tmp_path: Path) -> None:
    fold = cross_validation_splits(found.dataset, found.index)[1]
    begun = prepared(found, fold)
    run = Run(tmp_path / "run")
    run.path.mkdir()
    begun.record(run)
    recipe = RECIPES["photos"]()
    plan = Plan(recipe=recipe, base="photos", data=str(tmp_path / "photos"), difference={})
    origin = Origin(
        recipe=recipe,
        recipe_digest="",
        first_data=begun.digest,
        data=begun.digest,
        input=begun.input,
        classes=begun.labels.classes,
        execution=ExecutionPlan(),
    )
    again, changes = prepare_again(plan, run, origin, inexact=False)
    assert changes is None
    assert same(again.splits, fold)
    assert again.digest == begun.digest
    assert same(own_splits(run, found.dataset, found.index), fold)
    with pytest.raises(RunError, match="not those that this run was started with"):
        prepare_again(plan, run, replace(origin, first_data="0", data="0"), inexact=False)


@pytest.mark.parametrize("name", ["a/b", "..", "", "a\0b", "\ud800"])
def test_a_name_that_no_folder_can_have_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(RunError, match="without slashes"):
        check_name(tmp_path, name)
