"""The criterion of a training: the loss of its recipe, with what the data and other runs add to it."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from striate.core.device import ExecutionPlan
from striate.core.errors import ConfigError
from striate.runs.distillation import with_teacher
from striate.runs.prepare import TrainingData
from striate.runs.recipe import Recipe
from striate.runs.transfer import Features
from striate.tasks import Task
from striate.training.losses import Balanced, Distill


def learned_task(recipe: Recipe, prepared: TrainingData, plan: ExecutionPlan) -> Task:
    """Return the task of a recipe with its loss, class weights and teachers included.

    Raises:
        ConfigError: a teacher does not suit the data, or the weights of the classes are not known or not used.
        RunError: there is no classifier in the folder of a teacher, or it is damaged.
    """
    task, loss = recipe.create_task(), recipe.loss
    if isinstance(loss, Distill):
        return with_teacher(recipe, prepared, plan)
    if not isinstance(loss, Balanced) or loss.class_balance == 0:
        return task
    if isinstance(recipe.transfer, Features):
        raise ConfigError(
            "loss.class_balance weights the classes in training by gradient descent, and transfer features fits a "
            "linear classifier. Choose another kind of transfer, as in --transfer full, or leave the setting out."
        )
    counts = prepared.class_counts
    if counts is None:
        raise ConfigError(
            "loss.class_balance follows from the number of training images of each class, which loaders of your own do "
            "not state. Leave it out, or train on files."
        )
    return replace(task, criterion=partial(loss, weights=loss.weights(counts).to(plan.device)))


def check_criterion(recipe: Recipe, prepared: TrainingData) -> None:
    """Check that a training with the loss of `recipe` is possible on `prepared`.

    Raises:
        ConfigError, RunError: as for `learned_task`.
    """
    learned_task(recipe, prepared, ExecutionPlan())
