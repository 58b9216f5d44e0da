"""Single-label classification: each image has one class, and outputs are logits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from striate.core.batch import Batch
from striate.core.errors import DataError
from striate.core.registry import NOT_AN_OPTION
from striate.core.spec import LabelSpec
from striate.tasks.logits import LogitsTask
from striate.tasks.task import TASKS, Criterion, OfImages, Prediction


@dataclass(frozen=True, kw_only=True)
class Classification(LogitsTask):
    """Each image has exactly one class; a target is its number, and outputs are logits."""

    criterion: Criterion | OfImages = field(default=F.cross_entropy, repr=False, metadata=NOT_AN_OPTION)

    scores: ClassVar[Mapping[str, str]] = MappingProxyType({"loss": "loss", "accuracy": "accuracy"})
    sections: ClassVar[tuple[str, ...]] = (
        "advice", "examples", "generalization", "confusions", "classes", "confidence", "transfer", "training", "health",
        "augmentation", "data", "audit", "model", "filters", "recipe", "provenance",
    )  # fmt: skip

    def targets(self, values: Shaped[Tensor, ...], count: int, labels: LabelSpec) -> Int[Tensor, " n"]:
        """Return class numbers; see `Task.targets`."""
        if values.shape != (count,) or values.is_floating_point() or values.is_complex():
            raise DataError(
                f"labels of shape {tuple(values.shape)} and type {values.dtype} for {count} images; expected "
                f"({count},), whole numbers."
            )
        numbers = values.long()  # torch compares no unsigned integers of more than 8 bits
        low, high = int(numbers.min()), int(numbers.max())
        if not 0 <= low <= high < len(labels):
            raise DataError(
                f"labels from {low} to {high}; {len(labels)} classes are numbered from 0 to {len(labels) - 1}."
            )
        return numbers

    def answers(self, outputs: Float[Tensor, "n k"], temperature: float = 1.0) -> Float[Tensor, "n k"]:
        """Return the probability of each class, softmax(logits / temperature); of a single class the sigmoid.

        A network with a single logit decides between its class and none, whose logit is 0.

        A temperature fitted on validation data calibrates the probabilities (Guo et al. 2017, "On calibration of
        modern neural networks", arXiv:1706.04599, section 4.2) and does not change which class is first.
        """
        logits = outputs / temperature
        return torch.softmax(logits, dim=1) if logits.shape[1] > 1 else torch.sigmoid(logits)

    def outputs_of(self, answers: Float[Tensor, "n k"]) -> Float[Tensor, "n k"]:
        """Return the logarithms of the probabilities; 0 becomes the smallest normal number. Of one class: log odds."""
        if answers.shape[1] == 1:
            return torch.logit(answers, eps=torch.finfo(answers.dtype).eps)
        return answers.clamp(min=torch.finfo(answers.dtype).tiny).log()

    def prediction(self, name: str, answer: Sequence[float], labels: LabelSpec) -> Prediction:
        """Rank the classes by probability."""
        ranked = sorted(zip(labels.classes, answer, strict=True), key=lambda pair: -pair[1])
        return Prediction(name, *ranked[0], probabilities=dict(ranked))

    def example(self, shape: tuple[int, int, int, int], outputs: torch.Size, generator: torch.Generator) -> Batch:
        """Return normal random images with uniformly drawn classes."""
        images = torch.randn(shape, generator=generator)
        return Batch(images, torch.randint(outputs[0], shape[:1], generator=generator), torch.arange(len(images)))


TASKS.add("classification", Classification)
CLASSIFICATION = Classification()
