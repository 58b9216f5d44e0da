"""What a network answers to each sample of a split, as rows of numbers."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import nn

from striate.core.device import ExecutionPlan
from striate.core.errors import DataError
from striate.core.progress import Progress, silent
from striate.core.protocols import Batches
from striate.metrics import METRICS


@dataclass(frozen=True)
class Outputs:
    """The network's logits for n samples, their true classes, and the index that leads back to each one's file."""

    logits: Float[np.ndarray, "n k"]
    targets: Int[np.ndarray, " n"]
    index: Int[np.ndarray, " n"]

    def scores(self, names: Sequence[str] = ("loss", "accuracy")) -> dict[str, float]:
        """The registered metrics `names` over all rows; one that the rows do not determine is left out."""
        values = {name: METRICS[name].score(self.logits, self.targets) for name in names}
        return {name: value for name, value in values.items() if value is not None}


def evaluate(model: nn.Module, batches: Batches, plan: ExecutionPlan, *, progress: Progress = silent) -> Outputs:
    """The answers of `model` to epoch 0 of `batches`, executed as `plan` says.

    The model keeps its modes, module by module; gradients and torch's random state are not touched.

    Raises:
        DataError: there is not one batch.
    """
    logits, targets, index = [], [], []
    with answering(model), torch.inference_mode():
        for number, batch in enumerate(batches.epoch(0), start=1):
            with plan.autocast():
                answer = model(plan.place(batch.images))
            logits.append(answer.float().cpu())
            targets.append(batch.targets.cpu())
            index.append(batch.index.cpu())
            progress("evaluating", number, len(batches))
    if not logits:
        raise DataError("There is nothing to evaluate: the split has no picture. Choose another split.")
    return Outputs(torch.cat(logits).numpy(), torch.cat(targets).numpy(), torch.cat(index).numpy())


@contextlib.contextmanager
def answering(model: nn.Module) -> Iterator[None]:
    """Put `model` into evaluation mode; afterwards each of its modules has the mode it had (some may be frozen)."""
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode
