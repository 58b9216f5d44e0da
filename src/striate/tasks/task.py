"""The base class of a task, and the registry of tasks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from striate.core.batch import Batch
from striate.core.errors import ConfigError
from striate.core.notebook import table
from striate.core.registry import NOT_AN_OPTION, Registered, Registry
from striate.core.spec import LabelSpec

TASKS: Registry[type[Task]] = Registry("task")

Criterion = Callable[[Tensor, Tensor], Tensor]
"""A loss as a function of (outputs, targets): the mean over the samples of a batch."""


class OfImages(ABC):
    """A loss that depends on the images of a batch, such as one with a teacher that sees them too.

    Attributes:
        circumstances: what identifies the other things that it depends on. It is recorded with the environment of the
            training, and must be the same when the training is resumed.
    """

    circumstances: Mapping[str, str]

    @abstractmethod
    def of(self, images: Float[Tensor, "n c h w"]) -> Criterion:
        """Return the criterion of a batch with these images."""


@dataclass(frozen=True)
class Prediction:
    """The answer for one image: the most probable class, and the probability of every class, most probable first.

    `name` is the path of the image as given, or `array n` for the n-th array.

    Of a classifier with features of its training images: `similarity` to the nearest of them (cosine), `p_value` of the
    hypothesis that the image is of one of the classes, and `none_of_these`, whether it is less familiar, by similarity
    and largest logit, than 95 % of held-out images of the classes. None otherwise. `among`: with a requested coverage,
    the classes among which the true one is with that probability. `labels`: where an image may have several classes,
    those whose probability reaches their threshold, most probable first; None where it has one.
    """

    name: str
    label: str
    probability: float
    probabilities: dict[str, float]
    similarity: float | None = None
    p_value: float | None = None
    none_of_these: bool | None = None
    among: tuple[str, ...] | None = None
    labels: tuple[str, ...] | None = None

    def __repr__(self) -> str:
        if self.labels is not None:
            having = ", ".join(f"{label!r} {self.probabilities[label]:.1%}" for label in self.labels)
            return f"Prediction({self.name!r}: {having or 'no label'})"
        answer = f"none of these; nearest {self.label!r}" if self.none_of_these else repr(self.label)
        return f"Prediction({self.name!r}: {answer}, {self.probability:.1%})"

    def _repr_html_(self) -> str:
        rows = [(label, f"{probability:.1%}") for label, probability in self.probabilities.items()]
        if self.labels is not None:
            rows.insert(0, ("labels", ", ".join(self.labels) or "none"))
        if self.none_of_these:
            rows.insert(0, ("none of these", f"p = {self.p_value:.3g}"))
        return table(("class", "probability"), rows, title=self.name)


@dataclass(frozen=True, kw_only=True)
class Task(Registered, ABC):
    """The definition of what is learned, through which training, evaluation and explanations handle targets.

    The fields of a subclass are its options, which recipes and classifiers record. A recipe sets two fields that are
    no options: `criterion`, its loss, and `auxiliary`, the weight of the loss of each auxiliary head (see
    `striate.core.protocols.Auxiliary`; at 0 auxiliary heads are not computed). Without a criterion, a task serves a
    trained model. `striate.training.Loss.tasks` says which losses a task can be learned by.
    `striate.metrics.EVALUATORS` holds, under the same name, how the outputs for a whole split are evaluated.
    `repr` is part of the key under which a measured execution plan is cached.

    Attributes:
        scores: the scores of each evaluation during training, by name, each with its metric in
            `striate.metrics.METRICS`. Curves are drawn of `loss` and `accuracy`.
        sections: the sections of the report, by their names in `striate.reporting.render.SECTIONS`, in order.
    """

    registry = TASKS

    scores: ClassVar[Mapping[str, str]]
    sections: ClassVar[tuple[str, ...]]

    criterion: Criterion | OfImages | None = field(default=None, repr=False, metadata=NOT_AN_OPTION)
    auxiliary: float = field(default=0.0, metadata=NOT_AN_OPTION)

    @abstractmethod
    def targets(self, values: Shaped[Tensor, ...], count: int, labels: LabelSpec) -> Shaped[Tensor, "n ..."]:
        """Return the targets of `count` images in the form that `loss` takes.

        `values` are those that a loader yields for a batch, or those that a data set stores for all of its images.

        Raises:
            DataError: they do not fit. The message continues "The loader yields …" and "The data hold …".
        """

    @abstractmethod
    def loss(self, model: nn.Module, batch: Batch) -> Float[Tensor, ""]:
        """Compute the loss of `batch`, which lies on the model's device, auxiliary terms included.

        The loss is a mean over samples, so that the losses of parts of a batch, weighted by size, sum to that of the
        whole. A reduced-precision plan calls this under autocast: compute all but the forward pass in
        `striate.core.device.full_precision`.
        """

    @abstractmethod
    def outputs(self, model: nn.Module, images: Float[Tensor, "n c h w"]) -> Shaped[Tensor, "n ..."]:
        """Return the outputs that are evaluated and served, without auxiliary ones."""

    @abstractmethod
    def answers(self, outputs: Shaped[Tensor, "n ..."], temperature: float = 1.0) -> Shaped[Tensor, "n ..."]:
        """Convert outputs to answers, such as probabilities, calibrated by `temperature`."""

    def outputs_of(self, answers: Float[Tensor, "n ..."]) -> Float[Tensor, "n ..."]:
        """Return outputs that give these `answers` at temperature 1, to evaluate the mean of several answers.

        Raises:
            ConfigError: the task does not define them.
        """
        raise ConfigError(
            f"The task {self.name!r} does not say how answers are averaged: views and ensembles need the method "
            "outputs_of."
        )

    @abstractmethod
    def prediction(self, name: str, answer: Sequence[float], labels: LabelSpec) -> Prediction:
        """Return the prediction for the image called `name` from its row of answers."""

    @property
    def unfitted(self) -> Task:
        """The task without options that its evaluator fits on validation data, such as thresholds."""
        return self

    def averaged(self, others: Sequence[tuple[Task, Sequence[int]]]) -> Task:
        """Return the task of an ensemble with `others`, this one included, each with the order of its outputs."""
        return self

    @property
    def judged_by(self) -> Mapping[str, Any]:
        """Keyword arguments of the task for the functions `evaluate` and `rows` of its evaluator."""
        return {}

    @abstractmethod
    def example(self, shape: tuple[int, int, int, int], outputs: torch.Size, generator: torch.Generator) -> Batch:
        """Return a random batch of `shape` for a model whose output for one image has the shape `outputs`."""
