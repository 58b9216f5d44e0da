"""Check that a network can be trained on a recipe's batches, before the run has a folder."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.instancenorm import _InstanceNorm

from striate.core.batch import Batch
from striate.core.duration import Clock
from striate.core.errors import ConfigError, first_line
from striate.core.protocols import Auxiliary
from striate.models import build_sketch
from striate.runs.prepare import TrainingData
from striate.runs.recipe import Recipe
from striate.runs.resizing import epochs_of, resized
from striate.tasks import CLASSIFICATION, Task
from striate.tracing import EmptyMapError, Recorder
from striate.training.backward import piece_count


def check_fit(recipe: Recipe, prepared: TrainingData) -> None:
    """Check that `recipe` can train its network on the images of `prepared`.

    Raises:
        ModelError: the network does not take images of this size.
        ConfigError: it has no auxiliary classifiers and the recipe weights them, it normalises over a single value, it
            does not take the sizes of the recipe's resizing, none of these is smaller than the images, no weights ever
            enter the recipe's average, or all parameters are frozen.
    """
    channels, height, width = prepared.input.shape
    network = build_sketch(recipe.model, classes=len(prepared.labels), channels=channels, size=(height, width))
    if not any(parameter.requires_grad for parameter in network.parameters()):
        raise ConfigError(
            f"{recipe.model} has no parameter to train: none has requires_grad. Thaw some, as in striate.thaw(model, "
            "'head')."
        )
    with_auxiliary = isinstance(network, Auxiliary) and bool(network.auxiliary_heads)
    if recipe.loss.auxiliary is not None and not with_auxiliary:
        raise ConfigError(
            f"loss.auxiliary is the weight of auxiliary classifiers, and {recipe.model} has none for images of "
            f"{height}×{width}. Leave the setting out."
        )
    most = recipe.memory.micro_batch
    least = min(count // piece_count(count, most) for count in (prepared.smallest_batch(recipe), recipe.batch_size))
    task = recipe.create_task()
    _check_average(recipe, prepared)

    def example(height: int, width: int) -> Batch:
        outputs = torch.Size([len(prepared.labels)])
        return task.example((least, channels, height, width), outputs, torch.Generator().manual_seed(0))

    usual = _error_of(network, example(height, width), task)  # on the meta device there may be one at every size
    if recipe.resizing is None:
        return
    epochs = math.ceil(epochs_of(recipe.epochs, 1))  # of steps there are more than of epochs, and no other sides
    full = min(height, width)
    smaller = sorted({*recipe.resizing.sides(epochs, full)} - {full})
    if not smaller:
        raise ConfigError(
            f"resizing trains on smaller images first, and none of its sides is below the {full} pixels of these. "
            "Choose smaller sides, as in resizing=growing, or resizing=none."
        )
    for side in smaller:
        small = resized(prepared.input, side)
        error = _error_of(network, example(small.height, small.width), task)
        if error is not None and str(error) != str(usual):
            said = first_line(error)
            raise ConfigError(
                f"resizing trains on images of {small.height}×{small.width} pixels too, and {recipe.model} for "
                f"{height}×{width} does not take them ({said}). Choose a network that ends in a mean over the map, as "
                "resnet20, larger sizes, or resizing=none."
            )


def _check_average(recipe: Recipe, prepared: TrainingData) -> None:
    """Check that weights enter the average of the recipe, if the number of steps is known.

    Raises:
        ConfigError: none do.
    """
    average, start = recipe.average, Clock(prepared.steps_per_epoch(recipe))
    steps = recipe.epochs.steps(start.steps_per_epoch)
    if average is None or steps is None:
        return
    if not any(average.due(replace(start, step=step), recipe.epochs) for step in range(1, steps + 1)):
        raise ConfigError(
            f"No weights would enter the average {average.name!r} within {recipe.epochs} ({steps} steps): the first "
            "are due later. Train for longer, change the options of the average, or choose average=none."
        )


def check_norms(network: nn.Module, batch: Batch, task: Task = CLASSIFICATION) -> None:
    """Check that each normalization of `network` has more than one value per channel in `batch`.

    Torch refuses to take the variance of one value (`torch.nn.functional.batch_norm`), in the middle of a step. The
    network computes the loss of `batch` in training mode; its buffers may change.

    Raises:
        ConfigError: a normalization has a single value; the sentence names it, and the batch size.
    """
    _error_of(network, batch, task)


def _error_of(network: nn.Module, batch: Batch, task: Task) -> Exception | None:
    """Return the error of `network` in training mode on a batch of this shape, if there is one.

    Raises:
        ConfigError: a normalization has a single value.
    """
    device = next((parameter.device for parameter in network.parameters()), torch.device("cpu"))
    moved = Batch(batch.images.to(device), batch.targets.to(device), batch.index)
    # On the meta device, the recorder infers shapes. Torch's own inference would load its compiler.
    with (
        _watched_norms(network, len(batch)),
        torch.no_grad(),
        torch.random.fork_rng(devices=[]),
        Recorder(moved.images),
    ):
        try:
            task.loss(network.train(), moved)
        except ValueError as error:  # of a normalization that is no module
            if str(error).startswith("Expected more than 1"):
                raise _single("A normalization of this network", len(batch)) from error
            return error
        except (RuntimeError, EmptyMapError) as error:
            return error  # an operation that a meta model cannot compute, or a mistake that the first step reports
        finally:
            network.eval()
    return None


@contextlib.contextmanager
def _watched_norms(network: nn.Module, count: int) -> Iterator[None]:
    """Raise an error that names the normalization where one has a single value."""
    names = {module: name for name, module in network.named_modules()}

    def look(module: nn.Module, arguments: tuple[Tensor, ...]) -> None:
        values = arguments[0]
        over_batch = isinstance(module, _BatchNorm)
        if over_batch and not (module.training or module.running_mean is None):
            return
        if values.shape[2:].numel() * (len(values) if over_batch else 1) == 1:
            raise _single(f"{names[module]} ({type(module).__name__})", count)

    norms = [module for module in network.modules() if isinstance(module, (_BatchNorm, _InstanceNorm))]
    handles = [module.register_forward_pre_hook(look) for module in norms]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _single(who: str, count: int) -> ConfigError:
    batch = "" if count > 1 else " in a batch of 1"
    return ConfigError(
        f"{who} normalises over a single value of each channel{batch}, which is always 0. "
        "Choose a batch_size of at least 2 (and more than one training image), larger images (input.height, "
        "input.width), or another model."
    )
