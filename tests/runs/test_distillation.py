"""A student learns from a teacher: on its own augmented images, exactly resumed, and from nobody else."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import striate
from rehearsal.colours import dark_and_light
from rehearsal.small import MadeBatches, WithAuxiliary
from striate.classifier import save_classifier
from striate.core.batch import Batch
from striate.core.config import override
from striate.core.errors import ConfigError, RunError
from striate.core.spec import GREY, RGB, InputSpec, LabelSpec
from striate.data.audit import audit
from striate.data.sources.opening import open_data
from striate.reporting import build
from striate.runs.criterion import check_criterion
from striate.runs.distillation import Taught, adapted
from striate.runs.folder import Run
from striate.runs.prepare import prepare_data
from striate.runs.recipes import RECIPES
from striate.tasks import Classification
from striate.training import SafePoint
from striate.training.losses import CrossEntropy, Distill

STUDENT: dict[str, Any] = {"model": "conv3-4 relu pool2 fc8 relu", "size": 12}
SETTINGS = {"precision": "float32", "epochs": "2ep", "batch_size": 8}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with photos and two teachers, `one` and `two`, of other networks and sizes than the student's."""
    base = tmp_path_factory.mktemp("distilled")
    dark_and_light(base / "photos")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STRIATE_CACHE", str(base / "cache"))
        patch.setattr(build, "write_run_report", lambda run: run.report_file)
        for seed, name, model in ((1, "one", "mlp"), (2, "two", "conv3-4 relu gap")):
            striate.train(base / "photos", model=model, seed=seed, name=name, runs=base, set=SETTINGS)
        yield base


@pytest.fixture(autouse=True)
def folder(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The photos and the teachers for this test alone."""
    monkeypatch.chdir(tmp_path)
    for name in ("photos", "one", "two"):
        shutil.copytree(trained / name, tmp_path / name)
    return tmp_path


def settings(*teachers: str, **changes: object) -> dict[str, object]:
    return SETTINGS | {"loss.name": "distill", "loss.teacher": ",".join(teachers)} | changes


def weights(run: Run) -> bytes:
    return (run.classifier_folder / "model.safetensors").read_bytes()


def test_a_stopped_distillation_resumes_to_the_same_weights_and_leaves_the_process_as_it_was(folder: Path) -> None:
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    whole = striate.train("photos", name="whole", set=settings("one", "two"), **STUDENT)
    assert torch.equal(state, torch.get_rng_state())
    assert threads == torch.get_num_threads()
    plain = striate.train("photos", name="plain", set=SETTINGS, execution=whole.path, **STUDENT)
    assert weights(plain) != weights(whole)

    parts = striate.train.events("photos", name="parts", set=settings("one", "two"), execution=whole.path, **STUDENT)
    next(event for event in parts if isinstance(event, SafePoint) and event.clock.step == 4)
    parts.close()
    stored = json.loads(Path("runs/parts/recipe.json").read_text())["recipe"]["loss"]
    assert stored["teacher"] == [str(folder / "one"), str(folder / "two")]
    assert weights(striate.resume("runs/parts")) == weights(whole)
    one, two = striate.load(whole).provenance.circumstances["teacher"].split()
    assert one != two


def test_a_teacher_that_changed_since_is_refused() -> None:
    events = striate.train.events("photos", name="r", set=settings("one"), **STUDENT)
    next(event for event in events if isinstance(event, SafePoint) and event.clock.step == 2)
    events.close()
    teacher = striate.load("one")
    with torch.no_grad():
        next(teacher.model.parameters()).add_(1e-3)
    save_classifier(teacher, Path("one/classifier"))
    with pytest.raises(RunError, match=r"cannot be resumed exactly here: teacher [0-9a-f]{16} \(was [0-9a-f]{16}\)"):
        striate.resume("runs/r")
    shutil.rmtree("one")
    with pytest.raises(RunError, match=r"There is no classifier in .*one"):
        striate.resume("runs/r")


def test_who_cannot_teach_is_one_sentence_before_there_is_a_run(folder: Path) -> None:
    teacher = striate.load("one")
    others = replace(teacher, labels=LabelSpec(("dark", "red")))
    save_classifier(others, folder / "others" / "classifier")
    colour = striate.load("two")
    network = striate.create("conv3-4 relu gap", classes=2, channels=3, size=16)
    spec = replace(colour.input, channels=RGB, mean=(0.5,) * 3, std=(0.2,) * 3)
    arguments: Any = colour.arguments | {"channels": 3}
    save_classifier(replace(colour, model=network, input=spec, arguments=arguments), folder / "colour" / "classifier")
    for name, said in (
        ("others", r"others has dark, red, and the data have dark, light\. Name another run"),
        ("colour", r"colour takes red, green, blue, and the images of this training have grey\."),
    ):
        with pytest.raises(ConfigError, match=said):
            striate.train("photos", set=settings(name), **STUDENT)
    with pytest.raises(ConfigError, match=r"Name a run, as in --set loss\.teacher=runs/photos"):
        striate.train("photos", set=SETTINGS | {"loss.name": "distill"}, **STUDENT)
    with pytest.raises(RunError, match=r"There is no classifier in .*nothing"):
        striate.train("photos", set=settings("nothing"), **STUDENT)
    fitted = override(RECIPES["transfer"](), ["transfer.name=features", "loss.name=distill", "loss.teacher=one"])
    with pytest.raises(ConfigError, match="transfer features fits a linear classifier"):
        check_criterion(fitted, prepare_data(RECIPES["photos"](), audit(open_data("photos"))))
    assert not Path("runs").exists()


def _numbers(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_the_answers_of_teachers_are_averaged_at_the_temperature() -> None:
    loss = Distill(teacher=("a", "b"), temperature=2.0, alpha=0.7)
    first, second = _numbers(1, 18, 3), _numbers(2, 18, 3)
    teachers = (lambda images: images.flatten(1) @ first, lambda images: images.flatten(1) @ second)
    images, logits, targets = _numbers(3, 5, 2, 3, 3), _numbers(4, 5, 3), torch.tensor([0, 2, 1, 1, 0])
    found = Taught(loss, teachers, {}).of(images)(logits, targets).item()
    total = 0.0
    for sample in range(5):
        rows = [[float(value) for value in images[sample].flatten() @ weight] for weight in (first, second)]
        softened = [np.exp(np.array(row) / 2) / np.exp(np.array(row) / 2).sum() for row in rows]
        student = np.array(logits[sample].tolist())
        for k in range(3):
            q = (softened[0][k] + softened[1][k]) / 2
            p = np.exp(student[k] / 2) / np.exp(student / 2).sum()
            total += 0.7 * 4 * q * np.log(q / p) / 5
        total -= 0.3 * np.log(np.exp(student[targets[sample]]) / np.exp(student).sum()) / 5
    assert found == pytest.approx(total, rel=1e-5)


def test_a_teacher_sees_each_batch_once_without_gradients_and_teaches_auxiliary_heads_too() -> None:
    seen: list[Tensor] = []
    heads = [nn.Sequential(nn.Flatten(), nn.Linear(72, 3)) for _ in range(3)]

    def teacher(images: Tensor) -> Tensor:
        seen.append(images)
        return heads[2](images)

    loss = Distill(teacher=("a",), temperature=2.0, alpha=0.5)
    student = WithAuxiliary(nn.Identity(), heads[0], heads[1])
    batch: Batch = next(MadeBatches(1).epoch(0))
    task = Classification(criterion=Taught(loss, (teacher,), {}), auxiliary=0.3)
    value = task.loss(student, batch)
    value.backward()
    assert len(seen) == 1
    assert torch.equal(seen[0], batch.images)
    assert all(parameter.grad is None for parameter in heads[2].parameters())
    taught = partial(loss, taught=loss.soften(heads[2](batch.images)))
    by_hand = [taught(head(batch.images), batch.targets) for head in heads[:2]]
    assert value.item() == pytest.approx(float((by_hand[0] + 0.3 * by_hand[1]).detach()), rel=1e-5)
    assert Classification(criterion=CrossEntropy()).loss(heads[0], batch).item() > 0


def test_the_images_of_a_student_are_rescaled_and_resized_for_its_teacher() -> None:
    student = InputSpec(channels=GREY, height=6, width=6, mean=(0.4,), std=(0.2,))
    images = _numbers(5, 2, 1, 6, 6)
    assert adapted(images, student, student) is images
    other = replace(student, mean=(0.1,), std=(0.5,))
    np.testing.assert_allclose(adapted(images, student, other), (images * 0.2 + 0.4 - 0.1) / 0.5, atol=1e-6)
    halved = adapted(images, student, replace(student, height=3, width=3))
    flat = adapted(torch.full((1, 1, 6, 6), 0.7), student, replace(student, height=3, width=3))
    assert halved.shape == (2, 1, 3, 3)
    small = _numbers(5, 2, 1, 4, 4)  # as they are for a part of a training with resizing
    assert adapted(small, student, student).shape == (2, 1, 6, 6)
    np.testing.assert_allclose(flat, np.full((1, 1, 3, 3), 0.7), atol=1e-6)
