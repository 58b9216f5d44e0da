"""Multi-label classification: each class belongs to an image or not, whatever the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Shaped
from torch import Tensor

from striate.core.batch import Batch
from striate.core.errors import ConfigError, DataError
from striate.core.registry import NOT_AN_OPTION
from striate.core.spec import LabelSpec
from striate.tasks.logits import LogitsTask
from striate.tasks.task import TASKS, Criterion, OfImages, Prediction, Task


def _binary_cross_entropy(logits: Float[Tensor, "n k"], targets: Float[Tensor, "n k"]) -> Float[Tensor, ""]:
    return F.binary_cross_entropy_with_logits(logits, targets, reduction="sum") / len(logits)


@dataclass(frozen=True, kw_only=True)
class Multilabel(LogitsTask):
    """Each class belongs to an image or not, whatever the others; targets are 0 and 1, outputs logits of each class.

    Args:
        thresholds: probability from which a class belongs to an image: one for all classes, or one for each. Without
            any, those with the highest F1 on the validation split are fitted after the training.
    """

    thresholds: tuple[float, ...] = ()
    criterion: Criterion | OfImages = field(default=_binary_cross_entropy, repr=False, metadata=NOT_AN_OPTION)

    scores: ClassVar[Mapping[str, str]] = MappingProxyType(
        {"loss": "label_loss", "accuracy": "label_accuracy", "mean_average_precision": "mean_average_precision"}
    )
    sections: ClassVar[tuple[str, ...]] = (
        "labels", "examples", "transfer", "training", "health", "augmentation", "data", "audit", "model", "filters",
        "recipe", "provenance",
    )  # fmt: skip

    def __post_init__(self) -> None:
        if not all(0 <= value <= 1 for value in self.thresholds):
            raise ConfigError(f"task.thresholds are from 0 to 1; received {', '.join(map(str, self.thresholds))}.")

    def targets(self, values: Shaped[Tensor, ...], count: int, labels: LabelSpec) -> Float[Tensor, "n k"]:
        """Return a column of 0 and 1 for each class; see `Task.targets`."""
        if len(self.thresholds) not in (0, 1, len(labels)):
            raise ConfigError(
                f"task.thresholds has one value for all classes or one for each of the {len(labels)}; received "
                f"{len(self.thresholds)}."
            )
        if values.shape != (count, len(labels)) or values.is_complex():
            raise DataError(
                f"labels of shape {tuple(values.shape)} and type {values.dtype} for {count} images; expected ({count}, "
                f"{len(labels)}), 1 where an image has the class and 0 where it does not."
            )
        found = values.float()
        if count and not 0 <= float(found.min()) <= float(found.max()) <= 1:
            raise DataError(f"labels from {found.min():g} to {found.max():g}; expected values from 0 to 1.")
        return found

    def answers(self, outputs: Float[Tensor, "n k"], temperature: float = 1.0) -> Float[Tensor, "n k"]:
        """Return the probability of each class, sigmoid(logits / temperature)."""
        return torch.sigmoid(outputs / temperature)

    def outputs_of(self, answers: Float[Tensor, "n k"]) -> Float[Tensor, "n k"]:
        """Return the log odds of the probabilities; 0 and 1 become the numbers next to them."""
        return torch.logit(answers, eps=torch.finfo(answers.dtype).eps)

    def prediction(self, name: str, answer: Sequence[float], labels: LabelSpec) -> Prediction:
        """Rank the classes by probability, and list those from their thresholds on."""
        limits = dict(zip(labels.classes, self.threshold_of_each(len(labels)).tolist(), strict=True))
        ranked = sorted(zip(labels.classes, answer, strict=True), key=lambda pair: -pair[1])
        having = tuple(label for label, probability in ranked if probability >= limits[label])
        return Prediction(name, *ranked[0], probabilities=dict(ranked), labels=having)

    def threshold_of_each(self, classes: int) -> Float[np.ndarray, " k"]:
        """Return the threshold of each class: ½ where none was fitted or given."""
        return np.broadcast_to(np.array(self.thresholds or (0.5,)), (classes,))

    @property
    def unfitted(self) -> Multilabel:
        """The task without thresholds."""
        return replace(self, thresholds=())

    def averaged(self, others: Sequence[tuple[Task, Sequence[int]]]) -> Multilabel:
        """Return the task with the mean of the thresholds of each class."""
        rows = [
            task.threshold_of_each(len(order))[list(order)] for task, order in others if isinstance(task, Multilabel)
        ]
        return replace(self, thresholds=tuple(np.mean(rows, axis=0).tolist()))

    @property
    def judged_by(self) -> Mapping[str, Any]:
        """The thresholds."""
        return {"thresholds": self.thresholds}

    def example(self, shape: tuple[int, int, int, int], outputs: torch.Size, generator: torch.Generator) -> Batch:
        """Return normal random images, each class of which is present with probability ½."""
        images = torch.randn(shape, generator=generator)
        targets = torch.randint(2, (shape[0], outputs[0]), generator=generator).float()
        return Batch(images, targets, torch.arange(len(images)))


TASKS.add("multilabel", Multilabel)
