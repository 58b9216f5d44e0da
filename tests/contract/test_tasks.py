"""Every registered task is trained, evaluated, saved, loaded, used, explained and reported in the same way.

A toy multi-label task passes through all of this while single-label classification and every softmax raise errors:
nothing but the task knows what is learned.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from jaxtyping import Float, Shaped
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import striate
from rehearsal.small import MadeBatches, make_model, make_state
from striate.core.batch import Batch
from striate.core.config import from_json, override, to_json
from striate.core.device import ExecutionPlan, full_precision
from striate.core.errors import ConfigError, DataError, RunError
from striate.core.registry import NOT_AN_OPTION
from striate.core.spec import LabelSpec
from striate.data.dataset import ArrayStore, Dataset, numbered
from striate.data.sources.named_registry import DATASETS, Named, NoOptions
from striate.explaining import rise
from striate.metrics import EVALUATORS, METRICS, Evaluator
from striate.metrics.scores import Metric
from striate.reporting.html import h
from striate.reporting.material import RunMaterial
from striate.reporting.page import Section
from striate.reporting.render import SECTIONS
from striate.runs.recipe import read_recipe
from striate.runs.recipes import RECIPES
from striate.tasks import CLASSIFICATION, TASKS, Classification, Criterion, Prediction, Task
from striate.training import LOSSES, Loss, SafePoint, evaluate, step
from striate.training.autotune import choose_plan
from striate.training.backward import backward

NAMES = ("left", "top")


@dataclass(frozen=True, kw_only=True)
class Logistic(Loss):
    """Logistic loss of each label."""

    tasks = ("multi_label",)

    def __call__(self, logits: Float[Tensor, "n k"], targets: Float[Tensor, "n k"]) -> Float[Tensor, ""]:
        return F.binary_cross_entropy_with_logits(logits, targets)


@dataclass(frozen=True, kw_only=True)
class MultiLabel(Task):
    """Each label belongs to an image or not, whatever the others; targets are 0 and 1, a column for each label.

    Args:
        threshold: probability from which a label belongs to an image.
    """

    threshold: float = 0.5
    criterion: Criterion = field(default=F.binary_cross_entropy_with_logits, repr=False, metadata=NOT_AN_OPTION)

    scores: ClassVar[Mapping[str, str]] = MappingProxyType({"loss": "label_loss", "accuracy": "label_accuracy"})
    sections: ClassVar[tuple[str, ...]] = ("labels", "training", "model", "recipe", "provenance")

    def targets(self, values: Shaped[Tensor, ...], count: int, labels: LabelSpec) -> Float[Tensor, "n k"]:
        if values.shape != (count, len(labels)):
            raise DataError(f"labels of shape {tuple(values.shape)}; expected ({count}, {len(labels)}).")
        return values.float()

    def loss(self, model: nn.Module, batch: Batch) -> Float[Tensor, ""]:
        logits = model(batch.images)
        with full_precision(logits.device):
            return self.criterion(logits.float(), batch.targets)

    def outputs(self, model: nn.Module, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k"]:
        return model(images)

    def answers(self, outputs: Float[Tensor, "n k"], temperature: float = 1.0) -> Float[Tensor, "n k"]:
        return torch.sigmoid(outputs / temperature)

    def prediction(self, name: str, answer: Sequence[float], labels: LabelSpec) -> Prediction:
        ranked = sorted(zip(labels.classes, answer, strict=True), key=lambda pair: -pair[1])
        return Prediction(name, *ranked[0], probabilities=dict(ranked))

    def example(self, shape: tuple[int, int, int, int], outputs: torch.Size, generator: torch.Generator) -> Batch:
        images = torch.randn(shape, generator=generator)
        targets = torch.randint(2, (shape[0], *outputs), generator=generator).float()
        return Batch(images, targets, torch.arange(shape[0]))


@dataclass(frozen=True)
class LabelScores:
    """Number of correct labels among `count` images."""

    classes: tuple[str, ...]
    count: int
    right: int

    def __str__(self) -> str:
        return f"{self.right} of {self.count * len(self.classes)} labels right"

    def summary(self) -> dict[str, float]:
        return {"labels_right": self.right / (self.count * len(self.classes))}

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    def _repr_html_(self) -> str:
        return f"<p>{self}</p>"


@dataclass(frozen=True)
class LabelRows:
    index: np.ndarray
    sure: np.ndarray

    def columns(self, classes: Sequence[str]) -> dict[str, list[str]]:
        return {name: [repr(value) for value in self.sure[:, k].tolist()] for k, name in enumerate(classes)}


def label_scores(outputs: np.ndarray, targets: np.ndarray, classes: Sequence[str], **_: object) -> LabelScores:
    return LabelScores(tuple(classes), len(outputs), int(((outputs > 0) == targets).sum()))


def label_rows(outputs: np.ndarray, targets: np.ndarray, index: np.ndarray, temperature: float) -> LabelRows:
    return LabelRows(index, 1 / (1 + np.exp(-outputs.astype(np.float64) / temperature)))


def read_scores(value: Mapping[str, Any]) -> LabelScores:
    return LabelScores(**{**value, "classes": tuple(value["classes"])})


def read_rows(index: np.ndarray, columns: Mapping[str, Sequence[str]], classes: Sequence[str]) -> LabelRows:
    return LabelRows(index, np.array([[float(text) for text in columns[name]] for name in classes]).T)


def labels_section(material: RunMaterial) -> Section:
    return Section("labels", "Labels", h("p", str(material.judged["test"])), h("p", "as the toy task says"))


def logistic(outputs: np.ndarray, targets: np.ndarray) -> float:
    return float(np.mean(np.logaddexp(0, outputs) - outputs * targets))


def share_right(outputs: np.ndarray, targets: np.ndarray) -> float:
    return float(((outputs > 0) == targets).mean())


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MultiLabel:
    """The toy task, registered; single-label classification and softmax raise errors."""
    monkeypatch.setenv("STRIATE_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    evaluator = Evaluator(label_scores, read_scores, label_rows, read_rows)
    for registry, name, entry in (
        (TASKS, "multi_label", MultiLabel),
        (LOSSES, "logistic", Logistic),
        (METRICS, "label_loss", Metric("logistic loss", False, logistic)),
        (METRICS, "label_accuracy", Metric("labels right", True, share_right)),
        (EVALUATORS, "multi_label", evaluator),
        (SECTIONS, "labels", labels_section),
    ):
        monkeypatch.setitem(registry._entries, name, entry)

    def forbidden(*_: object, **__: object) -> None:
        raise AssertionError("single-label classification was used under another task")

    for name in ("targets", "loss", "outputs", "answers", "prediction", "example"):
        monkeypatch.setattr(Classification, name, forbidden)
    for owner in (torch, Tensor, F, torch.special):
        for name in ("softmax", "log_softmax"):
            if hasattr(owner, name):
                monkeypatch.setattr(owner, name, forbidden)
    for name, module in list(sys.modules.items()):
        if name.startswith("striate.metrics.") and hasattr(module, "log_softmax"):
            monkeypatch.setattr(module, "log_softmax", forbidden)
    return MultiLabel()


def _images(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Noise, brighter in the left half, in the upper half, in both or in neither."""
    draws = torch.Generator().manual_seed(seed)
    targets = torch.randint(2, (count, 2), generator=draws)
    images = 0.3 * torch.randn(count, 1, 16, 16, generator=draws)
    images[:, :, :, :8] += targets[:, 0, None, None, None]
    images[:, :, :8, :] += targets[:, 1, None, None, None]
    return images, targets


def _loaders() -> striate.Loaders:
    train, val, test = (
        DataLoader(TensorDataset(*_images(count, seed)), batch_size=16) for seed, count in enumerate((96, 32, 48))
    )
    return striate.Loaders(train, val, test, classes=NAMES, mean=(0.0,), std=(1.0,))


SETTINGS = ["task=multi_label", "task.threshold=0.4", "loss.name=logistic", "epochs=12"]


def test_another_task_is_trained_evaluated_saved_loaded_used_explained_and_reported(toy: MultiLabel) -> None:
    run = striate.train(_loaders(), model="mlp", set=SETTINGS)
    events = [json.loads(line) for line in run.events_file.read_text().splitlines()]
    assert events[-2]["scores"].keys() == {"loss", "accuracy"}

    classifier = striate.load(run, device="cpu")
    assert classifier.task == MultiLabel(threshold=0.4)
    stored = json.loads((run.classifier_folder / "classifier.json").read_text())["task"]
    assert (
        stored == json.loads(run.recipe_file.read_text())["recipe"]["task"] == {"name": "multi_label", "threshold": 0.4}
    )
    images, targets = _images(48, seed=2)
    logits = classifier.logits(images)
    right = int(((logits > 0) == targets).sum())
    assert right > 90
    assert run.scores["test"] == LabelScores(NAMES, 48, right)
    assert classifier.provenance.scores["test"] == {"labels_right": right / 96}
    assert classifier.provenance.temperature == {}
    assert f"{right} of 96 labels right" in (page := run.report_file.read_text("utf-8"))
    assert "as the toy task says" in page
    lines = (run.evaluations / "test.csv").read_text().splitlines()
    assert lines[0] == "index,picture,left,top"
    sure = [float(text) for text in lines[1].split(",")[2:]]
    np.testing.assert_allclose(sure, 1 / (1 + np.exp(-logits[0].double().numpy())), atol=1e-5)

    both = np.zeros((16, 16), np.uint8)
    both[:8], both[:, :8] = 255, 255
    Image.fromarray(both).save("both.png")
    prediction: Any = striate.predict(run, "both.png")[0]
    prepared = torch.from_numpy(both)[None, None].float() / 255
    with torch.no_grad():
        by_hand = 1 / (1 + torch.exp(-classifier.model(prepared)[0]))
    assert [prediction.probabilities[name] for name in NAMES] == pytest.approx(by_hand.tolist(), abs=1e-5)
    assert min(prediction.probabilities.values()) > 0.5  # both labels, which single classes cannot say

    for method in ("saliency", "rise"):
        explained: Any = striate.explain(run, "both.png", method=method, out=method)[0]
        assert explained.target == prediction.label


def _columns(options: NoOptions | None = None) -> Dataset:
    """The same images as a data set, whose targets have a column for each label."""
    images, targets = _images(160, seed=4)
    pixels = (images * 60 + 90).clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).numpy()
    return Dataset("columns", ArrayStore(pixels, numbered("image", 160)), NAMES, targets.to(torch.uint8).numpy())


@pytest.fixture
def columns(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setitem(DATASETS._entries, "columns", Named("toy", _columns, recipe="mnist"))
    return "columns"


def test_another_task_is_learned_from_a_data_set(toy: MultiLabel, columns: str) -> None:
    settings = ["task=multi_label", "loss=logistic", "batch_size=16", "epochs=5", "precision=float32"]
    run: Any = striate.train(columns, model="mlp", set=settings, name="whole")
    dataset = _columns()
    assert run.scores["test"].count + run.scores["val"].count == 64
    assert run.scores["test"].summary()["labels_right"] > 0.9
    counted = {row["name"]: row["total"] for row in json.loads(run.audit_file.read_text())["classes"]}
    assert counted == dict(zip(NAMES, dataset.targets.sum(axis=0).tolist(), strict=True))
    combinations = dataset.targets @ [1, 2]
    in_test = [int(line.split(",")[0]) for line in (run.evaluations / "test.csv").read_text().splitlines()[1:]]
    shares = np.bincount(combinations[in_test], minlength=4) / np.bincount(combinations)
    np.testing.assert_allclose(shares, 0.2, atol=0.03)  # every combination of labels is divided alike
    assert striate.evaluate(run, columns).scores.count == 32  # without those seen in training

    events = striate.train.events(columns, model="mlp", set=settings, name="parts", execution=run.path)
    for event in events:
        if isinstance(event, SafePoint) and event.clock.step == 7:
            break
    events.close()
    ours, theirs = (striate.load(each).model.state_dict() for each in (striate.resume("runs/parts"), run))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_data_of_another_task_are_refused(toy: MultiLabel, columns: str) -> None:
    with pytest.raises(DataError, match=r"digits holds labels of shape \(1797,\); expected .* The task 'multi_label'"):
        striate.train("digits", model="mlp", set=["task=multi_label", "loss=logistic"])
    assert not Path("runs").exists()


def test_a_stopped_training_of_another_task_resumes_to_the_same_weights(toy: MultiLabel) -> None:
    whole = striate.train(_loaders(), model="mlp", set=["task=multi_label", "loss=logistic", "epochs=2"], name="whole")
    settings: Any = {"model": "mlp", "set": ["task=multi_label", "loss=logistic", "epochs=2"], "name": "parts"}
    events = striate.train.events(_loaders(), execution=whole.path, **settings)
    for event in events:
        if isinstance(event, SafePoint) and event.clock.step == 7:
            break
    events.close()
    resumed = striate.resume("runs/parts", loaders=_loaders())
    ours, theirs = (striate.load(run).model.state_dict() for run in (resumed, whole))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_explanations_convert_outputs_by_the_task(toy: MultiLabel) -> None:
    model, images = make_model().eval(), torch.randn(2, 2, 6, 6, generator=torch.Generator().manual_seed(1))
    settings: Any = {"masks": 50, "cells": 3, "task": toy}
    of_label = rise(model, images, 2, **settings).values
    by_hand = rise(model, images, lambda outputs: 1 / (1 + torch.exp(-outputs[:, 2])), **settings).values
    np.testing.assert_allclose(of_label, by_hand, rtol=1e-5)


def test_the_plan_is_measured_on_the_examples_of_the_task(toy: MultiLabel) -> None:
    assert choose_plan(make_model(), (4, 2, 6, 6), precision="float32", task=toy).precision == "float32"


def test_targets_that_are_not_those_of_the_task_are_refused(toy: MultiLabel) -> None:
    wrong = DataLoader(TensorDataset(torch.zeros(4, 1, 16, 16), torch.zeros(4, 3)), batch_size=2)
    with pytest.raises(DataError, match=r"The train loader yields labels of shape \(2, 3\); expected \(2, 2\)"):
        striate.train(striate.Loaders(wrong, wrong, classes=NAMES, mean=(0.0,), std=(1.0,)), model="mlp", set=SETTINGS)


def test_a_loss_of_another_task_is_refused(toy: MultiLabel) -> None:
    rule = r"loss must suit the task 'multi_label'; received 'cross_entropy', which suits 'classification'\. "
    with pytest.raises(ConfigError, match=rule + r"Choose loss\.name=logistic\."):
        striate.train(_loaders(), model="mlp", set=["task=multi_label"])
    with pytest.raises(ConfigError, match=r"'classification'.*'logistic'.*Choose loss\.name=binary_cross_entropy or"):
        override(RECIPES["photos"](), "loss.name=logistic")


def test_a_recipe_that_stores_a_task_by_its_name_alone_is_read(toy: MultiLabel) -> None:
    recipe = override(RECIPES["photos"](), ["task=multi_label", "loss=logistic"])
    stored = to_json(recipe)
    assert read_recipe(stored | {"task": "multi_label"}) == read_recipe(stored) == recipe
    assert recipe.create_task().criterion == Logistic()


def test_an_unknown_task_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"There is no task 'classificaton'.*classification"):
        striate.train(_loaders(), model="mlp", set=["task=classificaton"])
    (tmp_path / "classifier.json").write_text(json.dumps({"format": 1, "task": "classificaton"}))
    with pytest.raises(RunError):
        striate.load(tmp_path)


TASK_INSTANCES: dict[str, Task] = {"toy": MultiLabel(), **{name: TASKS[name]() for name in TASKS}}


@pytest.mark.parametrize("name", TASK_INSTANCES)
def test_a_task_keeps_the_promises_of_the_protocol(name: str) -> None:
    task = TASK_INSTANCES[name]
    assert isinstance(task, Task)
    generator = torch.Generator().manual_seed(3)
    batch = task.example((7, 2, 6, 6), torch.Size([3]), generator)
    assert batch.images.shape == (7, 2, 6, 6)
    assert len(batch.targets) == len(batch.index) == 7
    labels = LabelSpec(("a", "b", "c"))
    torch.testing.assert_close(task.targets(batch.targets, 7, labels), batch.targets)
    # Means of parts, weighted by size, sum to that of the whole, and so do gradients.
    gradients = []
    for parts in (1, 3):
        layer = nn.Linear(72, 3).double()
        nn.init.constant_(layer.weight, 0.01)
        nn.init.zeros_(layer.bias)
        model = nn.Sequential(nn.Flatten(), layer)
        doubled = Batch(batch.images.double(), batch.targets, batch.index)
        backward(model, task, doubled, ExecutionPlan(parts=parts))
        gradients.append(layer.weight.grad)
    torch.testing.assert_close(*gradients, rtol=1e-5, atol=1e-7)
    # The loss is float32 under autocast, and a step learns from it.
    model = make_model(dropout=0.0)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert task.loss(model, batch).dtype == torch.float32
    outputs = task.outputs(model.eval(), batch.images).detach()
    assert outputs.shape == (7, 3)
    answers = task.answers(outputs, 2.0)
    assert answers.shape == outputs.shape
    prediction = task.prediction("x.png", answers[0].tolist(), labels)
    assert set(prediction.probabilities) == {"a", "b", "c"}
    assert prediction.probabilities[prediction.label] == prediction.probability == float(answers[0].max())


def test_a_classifier_that_stores_its_task_as_text_is_read() -> None:
    assert from_json(Task, "classification") == CLASSIFICATION


@pytest.mark.parametrize("name", list(TASKS))
def test_names_in_a_registered_task_are_registered(name: str) -> None:
    task = TASKS[name]()
    assert task.name == name
    assert name in EVALUATORS
    assert set(task.scores.values()) <= set(METRICS)
    assert set(task.sections) <= set(SECTIONS)


def test_single_labels_are_learnt_from_as_before() -> None:
    batch = next(MadeBatches().epoch(0))
    state = make_state(make_model(dropout=0.0))
    expected = F.cross_entropy(make_model(dropout=0.0).train()(batch.images), batch.targets)
    state.model.train()
    assert step(state, batch)[0] == float(expected.detach())
    outputs = evaluate(state.model, CLASSIFICATION, MadeBatches(2), ExecutionPlan())
    torch.testing.assert_close(
        CLASSIFICATION.answers(torch.from_numpy(outputs.values), 2.0),
        torch.softmax(torch.tensor(outputs.values) / 2, 1),
    )


def test_a_classifier_that_names_no_task_is_one_of_single_labels(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("STRIATE_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    images, targets = _images(32, seed=0)
    loader = DataLoader(TensorDataset(images, targets[:, 0]), batch_size=16)
    loaders = striate.Loaders(loader, loader, classes=("right", "left"), mean=(0.0,), std=(1.0,))
    run = striate.train(loaders, model="mlp", set=["epochs=1"])
    path = run.classifier_folder / "classifier.json"
    description = json.loads(path.read_text())
    assert description.pop("task") == {"name": "classification"}
    path.write_text(json.dumps(description))
    assert striate.load(run).task == CLASSIFICATION


def test_a_single_logit_is_that_of_its_class_against_none() -> None:
    logits = torch.tensor([[-1.5], [0.0], [2.0]])
    answers = CLASSIFICATION.answers(logits, 2.0)
    torch.testing.assert_close(answers, torch.softmax(F.pad(logits, (0, 1)) / 2, 1)[:, :1])
    torch.testing.assert_close(CLASSIFICATION.outputs_of(answers), logits / 2)
