"""Compute the outputs of a model for a split, and their scores."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor, nn

from striate.core.device import ExecutionPlan, float32_convolutions, out_of_memory
from striate.core.errors import DataError
from striate.core.processes import ALONE, Processes
from striate.core.progress import Progress, silent
from striate.core.protocols import Batches
from striate.metrics import METRICS
from striate.tasks import Task


@dataclass(frozen=True)
class Outputs:
    """The outputs of a model for n samples under `task`, their targets, and their indices in the data set."""

    task: Task
    values: Float[np.ndarray, "n ..."]
    targets: Shaped[np.ndarray, "n ..."]
    index: Int[np.ndarray, " n"]

    def scores(self, *metrics: str) -> dict[str, float]:
        """Compute the scores of the task and further `metrics` over all samples.

        Scores that the samples do not determine are left out.
        """
        wanted = {**self.task.scores, **{name: name for name in metrics if name not in self.task.scores}}
        values = {name: METRICS[metric].score(self.values, self.targets) for name, metric in wanted.items()}
        return {name: value for name, value in values.items() if value is not None}


def evaluate(
    model: nn.Module,
    task: Task,
    batches: Batches,
    plan: ExecutionPlan,
    *,
    processes: Processes = ALONE,
    progress: Progress = silent,
) -> Outputs:
    """Compute the outputs of `model` for epoch 0 of `batches` under `plan`.

    Each of several `processes` has a block of the batches, and receives the outputs of all. The mode of each module,
    gradients and torch's random state do not change.

    Raises:
        DataError: there is no batch.
    """
    own: list[tuple[np.ndarray, ...]] = []
    with evaluation_mode(model), torch.inference_mode(), float32_convolutions(plan.kind):
        for number, batch in enumerate(batches.epoch(0), start=1):
            columns = (_outputs(model, task, batch.images, plan), batch.targets, batch.index)
            own.append(tuple(column.cpu().numpy() for column in columns))
            progress("evaluating", number, len(batches))
    parts = [Outputs(task, *rows) for part in processes.gather(own) for rows in part]
    if not parts:
        raise DataError("There is nothing to evaluate: the split has no image. Choose another split.")
    return join_outputs(parts)


def join_outputs(parts: Sequence[Outputs]) -> Outputs:
    """Return the outputs of several parts of the samples, one part after the other."""
    columns = ((part.values, part.targets, part.index) for part in parts)
    values, targets, index = (np.concatenate(column) for column in zip(*columns, strict=True))
    return Outputs(parts[0].task, values, targets, index)


def _outputs(
    model: nn.Module, task: Task, images: Float[Tensor, "n c h w"], plan: ExecutionPlan
) -> Float[Tensor, "n ..."]:
    """Compute the outputs for `images`; where memory is short, for one half after the other."""
    try:
        with plan.autocast():
            return task.outputs(model, plan.place(images)).float().cpu()
    except (RuntimeError, MemoryError) as error:
        if len(images) == 1 or not out_of_memory(error):
            raise
    return torch.cat([_outputs(model, task, half, plan) for half in images.tensor_split(2)])


@contextlib.contextmanager
def evaluation_mode(model: nn.Module) -> Iterator[None]:
    """Put `model` into evaluation mode; restore the mode of each module on exit (some may be frozen)."""
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode
