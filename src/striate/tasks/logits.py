"""The base class of tasks whose outputs are logits, a column for each class."""

from __future__ import annotations

from abc import ABC
from collections.abc import Mapping
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor, nn

from striate.core.batch import Batch
from striate.core.device import full_precision
from striate.core.errors import ModelError
from striate.core.protocols import Auxiliary
from striate.tasks.task import OfImages, Task


@dataclass(frozen=True, kw_only=True)
class LogitsTask(Task, ABC):
    """Base class of tasks that are learned by a criterion of the logits and the targets."""

    def loss(self, model: nn.Module, batch: Batch) -> Float[Tensor, ""]:
        """Sum the criterion of the main logits and, times `auxiliary`, that of each auxiliary head.

        Raises:
            ModelError: the model does not return logits in training.
        """
        assert self.criterion is not None
        criterion = self.criterion.of(batch.images) if isinstance(self.criterion, OfImages) else self.criterion
        others: Mapping[str, Tensor] = {}
        if self.auxiliary and isinstance(model, Auxiliary):
            logits, others = model.forward_with_auxiliary(batch.images)
        else:
            logits = model(batch.images)
        if not isinstance(logits, Tensor):
            raise ModelError(
                f"{type(model).__name__} returns a {type(logits).__name__} in training; a model returns logits. "
                "Outputs of auxiliary heads are returned by another method, forward_with_auxiliary: see "
                "striate.core.protocols.Auxiliary."
            )
        with full_precision(logits.device):
            mean = criterion(logits.float(), batch.targets)
            for other in others.values():
                mean = mean + self.auxiliary * criterion(other.float(), batch.targets)
        return mean

    def outputs(self, model: nn.Module, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k"]:
        """Return the logits."""
        return model(images)
