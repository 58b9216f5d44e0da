"""Distillation: the loss of a training whose teacher is a trained run, or several."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from striate.classifier import Classifier, load_classifier
from striate.core.device import ExecutionPlan
from striate.core.errors import ConfigError
from striate.core.files import expanded
from striate.core.spec import InputSpec
from striate.runs.plan import Plan, changed_recipe
from striate.runs.prepare import TrainingData
from striate.runs.recipe import Recipe
from striate.runs.transfer import Features
from striate.tasks import Criterion, OfImages, Task
from striate.tracing import fold
from striate.training.losses import Distill

Answer = Callable[[Float[Tensor, "n c h w"]], Float[Tensor, "n k"]]


@dataclass(frozen=True, eq=False)
class Taught(OfImages):
    """The loss `distill` with its teachers, functions from the student's images to logits.

    The teachers receive the images of each batch as the student does, augmented. They run in evaluation mode without
    gradients and draw no random numbers. `circumstances` hold a digest of their weights.
    """

    loss: Distill
    teachers: tuple[Answer, ...]
    circumstances: Mapping[str, str]

    def of(self, images: Float[Tensor, "n c h w"]) -> Criterion:
        """Return the loss of a batch with these images, for which the teachers are run once."""
        with torch.no_grad():
            answers = [self.loss.soften(teacher(images).float()) for teacher in self.teachers]
            return partial(self.loss, taught=torch.stack(answers).mean(dim=0))


def with_teacher(recipe: Recipe, prepared: TrainingData, plan: ExecutionPlan) -> Task:
    """Return the task of a recipe with its loss; the teachers of `distill` are loaded and moved to the device.

    Raises:
        ConfigError: a teacher has other classes, another task or other channels, or there is nothing to teach.
        RunError: there is no classifier in the folder of a teacher, or it is damaged.
    """
    task, loss = recipe.create_task(), recipe.loss
    if not isinstance(loss, Distill):
        return task
    if isinstance(recipe.transfer, Features):
        raise ConfigError(
            "The loss distill trains a network by gradient descent, and transfer features fits a linear classifier. "
            "Choose another kind of transfer, as in --transfer full, or leave the loss out."
        )
    if not loss.teacher:
        raise ConfigError("The loss distill has a teacher. Name a run, as in --set loss.teacher=runs/photos.")
    classifiers = {path: load_classifier(path) for path in loss.teacher}
    for path, classifier in classifiers.items():
        _check(path, classifier, recipe, prepared)
    digests = " ".join(_digest(each.model) for each in classifiers.values())
    teachers = tuple(_answer(each, prepared, plan) for each in classifiers.values())
    return replace(task, criterion=Taught(loss, teachers, {"teacher": digests}))


def located(plan: Plan) -> Plan:
    """Return the plan with absolute paths of teachers, so that the run can be resumed from any folder."""
    loss = plan.recipe.loss
    if not isinstance(loss, Distill):
        return plan
    teacher = tuple(str(expanded(path).resolve()) for path in loss.teacher)
    return changed_recipe(plan, replace(plan.recipe, loss=replace(loss, teacher=teacher)))


def adapted(
    images: Float[Tensor, "n c h w"], student: InputSpec, teacher: InputSpec
) -> Float[Tensor, "n c {teacher.height} {teacher.width}"]:
    """Convert images that were prepared and scaled for the student to the teacher's scale and size.

    Crop and aspect ratio are those of the student's preparation. Images that are smaller for a part of the training
    (`resizing`) are enlarged.
    """
    if images.shape[2:] != teacher.size:
        images = F.interpolate(images, teacher.size, mode="bilinear", antialias=True)
    if (student.mean, student.std) == (teacher.mean, teacher.std):
        return images
    own, theirs = (
        tuple(images.new_tensor(column).view(1, -1, 1, 1) for column in (spec.mean, spec.std))
        for spec in (student, teacher)
    )
    return (images * own[1] + (own[0] - theirs[0])) / theirs[1]


def _check(path: str, teacher: Classifier, recipe: Recipe, prepared: TrainingData) -> None:
    classes, channels = prepared.labels.classes, prepared.input.channels
    if set(teacher.labels.classes) != set(classes):
        raise ConfigError(
            f"A teacher has the classes of the data. {path} has {_listed(teacher.labels.classes)}, and the data have "
            f"{_listed(classes)}. Name another run as loss.teacher."
        )
    if teacher.task != recipe.task:
        raise ConfigError(f"A teacher has the task of its student, {recipe.task.name}; {path} has {teacher.task.name}.")
    if teacher.input.channels != channels:
        raise ConfigError(
            f"A teacher sees the images of its student. {path} takes {_listed(teacher.input.channels)}, and the images "
            f"of this training have {_listed(channels)}. Name another run as loss.teacher."
        )


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(names[:5]) + (" …" if len(names) > 5 else "")


def _answer(teacher: Classifier, prepared: TrainingData, plan: ExecutionPlan) -> Answer:
    """Return the function from the student's images to the teacher's logits, in the order of the student's classes."""
    network = fold(teacher.model.eval().requires_grad_(False), teacher.input.shape)
    plan.adopt(network)
    order = [teacher.labels.classes.index(name) for name in prepared.labels.classes]
    student, spec, task = prepared.input, teacher.input, teacher.task
    if order == list(range(len(order))):
        return lambda images: task.outputs(network, adapted(images, student, spec))
    return lambda images: task.outputs(network, adapted(images, student, spec))[:, order]


def _digest(model: nn.Module) -> str:
    digest = hashlib.sha256()
    for name, tensor in model.state_dict().items():
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()[:16]
