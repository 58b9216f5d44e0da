"""Loaders of the user's own are trained on, resumed, judged, reported and kept as a classifier."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.data import BatchSampler, DataLoader, Dataset, RandomSampler, WeightedRandomSampler

import striate
from striate.core.errors import ConfigError, DataError, RunError
from striate.core.spec import LabelSpec
from striate.data.loading.own_loaders import LoaderBatches, Loaders
from striate.tasks import CLASSIFICATION
from striate.training import SafePoint

QUICK = ["epochs=3"]
MEAN, STD = (0.4,), (0.2,)


class Stripes(Dataset[tuple[Tensor, int]]):
    """Noisy images of upright (0) or lying (1) stripes, standardised, each drawn with fresh noise from torch."""

    def __init__(self, count: int) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        if index >= self.count:
            raise IndexError
        row = (torch.arange(16) // 2 % 2).float().expand(16, 16)
        image = (row if index % 2 == 0 else row.T)[None] + 0.1 * torch.randn(1, 16, 16)
        return (image - MEAN[0]) / STD[0], index % 2


def loaders() -> Loaders:
    train = DataLoader(Stripes(70), batch_size=16, shuffle=True)
    val, test = DataLoader(Stripes(20), batch_size=8), DataLoader(Stripes(30), batch_size=8)
    return Loaders(train, val, test, classes=("upright", "lying"), mean=MEAN, std=STD)


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRIATE_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


def test_loaders_become_a_judged_classifier_that_reads_image_files_as_they_were_prepared() -> None:
    run = striate.train(loaders(), model="tiny_vgg", epochs=25)
    test = json.loads((run.evaluations / "test.json").read_text())["scores"]["top1"]
    assert test["count"] == 30
    assert test["correct"] > 25
    assert "upright" in (run.path / "report.html").read_text("utf-8")
    classifier = striate.load(run.path, device="cpu")
    levels = (255 * np.tile(np.arange(16) // 2 % 2, (16, 1))).astype(np.uint8)
    assert [classifier.predict(pixels).label for pixels in (levels, levels.T.copy())] == ["upright", "lying"]
    images = (torch.from_numpy(levels)[None, None].float() / 255 - MEAN[0]) / STD[0]
    with torch.no_grad():
        by_hand = torch.softmax(classifier.model(images) / classifier.temperature, 1)[0, 0]
    assert classifier.predict(levels).probability == pytest.approx(float(by_hand), abs=1e-5)


def test_a_stopped_training_on_loaders_resumes_to_the_same_weights() -> None:
    whole = striate.train(loaders(), model="tiny_vgg", set=QUICK, name="whole")
    events = striate.train.events(loaders(), model="tiny_vgg", set=QUICK, name="parted", execution=whole.path)
    for event in events:
        if isinstance(event, SafePoint) and event.clock.step == 7:  # within the second epoch of five steps
            break
    events.close()
    with pytest.raises(DataError, match="loaders of your own"):
        striate.resume("runs/parted")
    with pytest.raises(RunError, match="not those that this run was started with"):
        striate.resume("runs/parted", loaders=replace(loaders(), val=DataLoader(Stripes(22), batch_size=8)))
    resumed = striate.resume("runs/parted", loaders=loaders())
    ours, theirs = (striate.load(run.path).model.state_dict() for run in (resumed, whole))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_a_loader_that_ends_early_stops_the_training_with_the_ways_on_for_loaders() -> None:
    class Failing(list[Any]):
        rounds = 0

        def __iter__(self) -> Iterator[Any]:
            self.rounds += 1
            return iter(self[: 1 if self.rounds == 4 else 2])  # two rounds precede the first epoch

    train = Failing((torch.randn(8, 1, 16, 16), torch.arange(8) % 2) for _ in range(2))
    given = replace(loaders(), train=train)
    with pytest.raises(DataError, match="ended after 1 batches") as caught:
        striate.train(given, model="tiny_vgg", set=QUICK, name="failing")
    said = str(caught.value)
    assert "saved at epoch 1.5 of 3. Mend the loader and continue: striate.resume('runs/failing', loaders=…)." in said
    assert "striate resume" not in said
    assert striate.finish("runs/failing", loaders=given).path == Path("runs/failing")


def test_batches_are_a_function_of_seed_and_epoch_and_leave_the_random_state_alone() -> None:
    batches = LoaderBatches(loaders().train, "train", LabelSpec(("a", "b")), CLASSIFICATION.targets, seed=3)
    state = torch.get_rng_state()
    first = [batch.images for batch in batches.epoch(1)]
    torch.rand(5)
    assert [torch.equal(a, b.images) for a, b in zip(first[2:], batches.epoch(1, start=2), strict=True)] == [True] * 3
    assert not torch.equal(first[0], next(iter(batches.epoch(2))).images)
    torch.set_rng_state(state)
    list(batches.epoch(0))
    assert torch.equal(torch.get_rng_state(), state)


def sampled(kind: str) -> DataLoader[Any]:
    """A loader whose order, or whose noise, comes from elsewhere than its own generator."""
    images, generator = Stripes(24), torch.Generator().manual_seed(9)
    if kind == "weighted":
        return DataLoader(images, 8, sampler=WeightedRandomSampler([1.0] * 24, 24, generator=generator))
    if kind == "batches":
        return DataLoader(images, batch_sampler=BatchSampler(RandomSampler(images, generator=generator), 8, False))
    return DataLoader(images, 8, shuffle=True, num_workers=1, persistent_workers=True)


@pytest.mark.parametrize("kind", ["weighted", "batches", "persistent"])
def test_samplers_and_workers_do_not_depend_on_the_epochs_before(kind: str) -> None:
    found = []
    for before in ((), (0,)):
        batches = LoaderBatches(sampled(kind), "train", LabelSpec(("a", "b")), CLASSIFICATION.targets, seed=3)
        for epoch in before:
            list(batches.epoch(epoch))
        found.append(torch.cat([batch.images for batch in batches.epoch(1)]))
    assert torch.equal(*found)


def test_means_may_be_a_tensor_and_must_be_numbers() -> None:
    given = replace(loaders(), mean=torch.tensor([0.5]), std=np.array([0.25]))
    assert (given.mean, given.std) == ((0.5,), (0.25,))
    with pytest.raises(DataError, match=r"mean must be a number for each channel, as in .*; received 0\.5"):
        replace(loaders(), mean=0.5)


def test_a_setting_that_is_the_loaders_own_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"input\.height has no effect"):
        striate.train(loaders(), model="tiny_vgg", set=["input.height=32"])


class Endless:
    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        while True:
            yield torch.zeros(2, 1, 16, 16), torch.tensor([0, 1])


IMAGES, LABELS = torch.zeros(2, 1, 16, 16), torch.tensor([0, 1])


class Measured:
    """`count` batches, of which the length says 2."""

    def __init__(self, count: int) -> None:
        self.count = count

    def __len__(self) -> int:
        return 2

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        yield from [(IMAGES, LABELS)] * self.count


@pytest.mark.parametrize(
    ("count", "sentence"),
    [(1, "ended after 1 batches; its length says 2"), (2, ""), (5, "more batches than the 2 of its")],
)
def test_a_loader_has_as_many_batches_as_its_length_says(count: int, sentence: str) -> None:
    batches = LoaderBatches(Measured(count), "train", LabelSpec(("a", "b")), CLASSIFICATION.targets)
    if not sentence:
        assert len(list(batches.epoch(0))) == 2
        return
    with pytest.raises(DataError, match=sentence):
        list(batches.epoch(0))


@pytest.mark.parametrize("kind", [torch.uint8, torch.int16, torch.uint16, torch.uint32, torch.uint64])
def test_labels_may_have_any_type_of_whole_numbers(kind: torch.dtype) -> None:
    def read(labels: Tensor) -> Tensor:
        batches = LoaderBatches([(IMAGES, labels)], "train", LabelSpec(("a", "b")), CLASSIFICATION.targets)
        return next(batches.epoch(0)).targets

    assert torch.equal(read(LABELS.to(kind)), LABELS)
    with pytest.raises(DataError, match=r"labels from 1 to 2; 2 classes"):
        read((LABELS + 1).to(kind))


@pytest.mark.parametrize(
    ("loader", "sentence"),
    [
        (Endless(), "has no length"),
        ([], "has no batches"),
        ([IMAGES], r"yields a Tensor; expected a pair"),
        ([{"image": IMAGES}], r"yields a dict; expected a pair"),
        ([(IMAGES.byte(), LABELS)], r"type torch.uint8; expected .* floating"),
        ([(IMAGES[:, 0], LABELS)], r"shape \(2, 16, 16\)"),
        ([(IMAGES, LABELS.float())], r"type torch.float32 for 2 images"),
        ([(IMAGES, LABELS + 1)], r"labels from 1 to 2; 2 classes are numbered from 0 to 1"),
        ([(IMAGES, LABELS - 1)], r"labels from -1 to 0"),
        ([(IMAGES[:0], LABELS[:0])], "empty batch"),
        ([(torch.zeros(2, 3, 16, 16), LABELS)], r"of one shape .* train 3×16×16, val 1×16×16"),
    ],
)
def test_a_loader_that_yields_something_else_is_one_sentence(loader: object, sentence: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=sentence):
        striate.train(replace(loaders(), train=loader), model="tiny_vgg")
    assert not (tmp_path / "runs").exists()
