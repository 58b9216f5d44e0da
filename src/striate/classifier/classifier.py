"""A trained model together with everything needed to use it."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor, nn

from striate.classifier._folded import Running
from striate.classifier.execution import Execution, state_of
from striate.classifier.images import check_prepared
from striate.classifier.predictor import Predictor
from striate.classifier.provenance import Provenance
from striate.classifier.reference import Limits, Reference, inputs_of
from striate.classifier.seen import SeenImages
from striate.core.device import float32_convolutions
from striate.core.errors import ConfigError, StriateError
from striate.core.notebook import table
from striate.core.spec import InputSpec, LabelSpec
from striate.data.views import Look, View, by_preparation, looks_of, views_text
from striate.models import Arguments
from striate.tasks import CLASSIFICATION, Task
from striate.tracing import is_watched


@dataclass(frozen=True, eq=False)
class Classifier(Predictor):
    """A model with its weights, `InputSpec`, `LabelSpec`, task and provenance.

    The zoo rebuilds `model` from `model_name` and `arguments`. `task` converts the model's outputs to probabilities;
    `temperature`, fitted on validation data, calibrates them. `seen` recognizes the images of the training, if they are
    recorded. `reference` recognizes images of none of the classes, if features are recorded. `execution` computes the
    answers of `predict` in place of torch, unless the classifier was changed, has a hook, or views are averaged;
    `passed_over` says why an export for this processor does not.
    """

    model: nn.Module
    model_name: str
    arguments: Arguments
    input: InputSpec
    labels: LabelSpec
    provenance: Provenance
    temperature: float = 1.0
    seen: SeenImages | None = field(default=None, repr=False)
    task: Task = CLASSIFICATION
    reference: Reference | None = field(default=None, repr=False)
    execution: Execution | None = field(default=None, repr=False)
    passed_over: str = field(default="", repr=False)
    _running: Running = field(default_factory=Running, init=False, repr=False)

    def __repr__(self) -> str:
        size = "×".join(map(str, self.input.shape))
        return f"Classifier({self.model_name!r}, {len(self.labels)} classes, input {size}, run {self.provenance.run!r})"

    def _repr_html_(self) -> str:
        origin = self.provenance
        rows = [
            ("classes", ", ".join(self.labels.classes[:10]) + (" …" if len(self.labels) > 10 else "")),
            ("input", "×".join(map(str, self.input.shape))),
            ("parameters", f"{sum(parameter.numel() for parameter in self.model.parameters()):,}"),
            ("temperature", f"{self.temperature:.3g}"),
            ("runtime", self.runtime),
            ("trained on", f"{origin.data}, {origin.epochs:g} epochs"),
        ]
        scored = {split: scores["accuracy"] for split, scores in origin.scores.items() if "accuracy" in scores}
        rows += [(f"{split} accuracy", f"{accuracy:.2%}") for split, accuracy in scored.items()]
        return table(("classifier", self.model_name), rows)

    @property
    def device(self) -> torch.device:
        """Device of the weights."""
        return next((p.device for p in self.model.parameters()), torch.device("cpu"))

    @property
    def _type(self) -> torch.dtype:
        """Type of the weights, and of the images passed to the model."""
        return next((p.dtype for p in self.model.parameters() if p.is_floating_point()), torch.float32)

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes on the last run: the reason if batch norms were not folded."""
        return (self._running.note,) if self._running.note else ()

    @property
    def runtime(self) -> str:
        """What computes the answers of `predict`: torch, or the runtime and precision of an export."""
        return self.execution.name if self.execution is not None else "torch"

    def to(self, device: str | torch.device) -> Classifier:
        """Return this classifier on another device; the model is moved in place, as by `torch.nn.Module.to`."""
        stays = torch.device(device).type == "cpu"
        return replace(self, model=self.model.to(device), execution=self.execution if stays else None)

    def copied(self) -> Classifier | None:
        """Return one for another thread: its modules are its own, their weights those of this one.

        None for a network with hooks, which are not written for several threads, or one that cannot be copied.
        """
        if is_watched(self.model):
            return None
        tensors: dict[int, Any] = {id(one): one for one in (*self.model.parameters(), *self.model.buffers())}
        try:
            return replace(self, model=copy.deepcopy(self.model, tensors), execution=None)
        except (TypeError, RuntimeError):  # it holds a lock, or a tensor that was computed
            return None

    def logits(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k"]:
        """Compute the model's raw outputs for prepared images, in evaluation mode, without gradients.

        Prepared images are scaled by `input`: (value / maximum - mean) / std. `predict` prepares images itself.

        If no module of `model` has a hook, batch norms are folded into convolutions: the last digits may differ from
        those of a direct call of `model`.

        Raises:
            ModelError: `images` is not a floating-point tensor (n, c, h, w) with the model's channels.
        """
        check_prepared(images, self.input)
        return self._outputs(self._runnable(images), images)

    def logits_and_features(
        self, images: Float[Tensor, "n c h w"], place: str
    ) -> tuple[Float[Tensor, "n k"], Float[Tensor, "n d"]]:
        """Compute `logits` and, in the same pass, the input of the layer `place`, a map averaged over its positions.

        Raises:
            ModelError: `images` is not a floating-point tensor (n, c, h, w) with the model's channels.
        """
        check_prepared(images, self.input)
        running = self._runnable(images)
        with inputs_of(running, place) as features:
            return self._outputs(running, images), features()

    def _runnable(self, images: Float[Tensor, "n c h w"]) -> nn.Module:
        channels, height, width = images.shape[1:]
        return self._running.of(self.model.eval(), (channels, height, width))

    def _outputs(self, running: nn.Module, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k"]:
        with torch.inference_mode(), float32_convolutions(self.device.type):
            return self.task.outputs(running, images.to(self.device, self._type)).float().cpu()

    def probabilities(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k"]:
        """Compute the calibrated probability of each class for prepared images."""
        return self.task.answers(self.logits(images), self.temperature)

    @property
    def members(self) -> tuple[Classifier, ...]:
        """This classifier alone."""
        return (self,)

    def looks(self, views: Sequence[View]) -> tuple[Look, ...]:
        """Return the ways in which `views` show an image.

        Raises:
            ConfigError: images of this size have no such views, or the network does not take images of their size.
        """
        looks = looks_of(views, self.input)
        if not views:
            return looks  # the image as it is, of which a server asks for each
        shapes = {look(torch.zeros(1, *look.spec.shape)).shape for look in looks}
        for shape in shapes - {(1, *self.input.shape)}:
            try:
                self.logits(torch.zeros(shape))
            except (RuntimeError, ValueError, StriateError) as error:
                height, width = self.input.size
                raise ConfigError(
                    f"The views {views_text(views)} show images of {shape[2]}×{shape[3]}, and the network "
                    f"{self.model_name} takes images of {height}×{width} only. Choose views of one size: flip, shift, "
                    "scale or crops."
                ) from error
        return looks

    def averaged(self, images: Float[Tensor, "n c h w"], looks: Sequence[Look]) -> Float64[Tensor, "n k"]:
        """Return the sum of the probabilities of each of `looks` at `images`, times its weight."""
        parts = [
            look.weight * self.task.answers(self.logits(look(images)).double(), self.temperature) for look in looks
        ]
        return torch.stack(parts).sum(dim=0)

    def preparations(self, views: Sequence[View] = ()) -> tuple[InputSpec, ...]:
        """Return every way of preparing an image that `answers` needs.

        Raises:
            ConfigError: images of this size have no such views, or the network does not take images of their size.
        """
        plain = [self.input] if not views or self.reference is not None else []
        return tuple(dict.fromkeys([*plain, *(look.spec for look in self.looks(views))]))

    def answers(
        self, images: Mapping[InputSpec, Float[Tensor, "n c h w"]], views: Sequence[View] = ()
    ) -> tuple[Float[Tensor, "n k"], list[Limits]]:
        """Return the probabilities of prepared and scaled images, and whether they are of one of the classes."""
        count = len(next(iter(images.values())))
        limits, answers = [Limits()] * count, None
        if self.reference is not None:
            logits, features = self.logits_and_features(images[self.input], self.reference.place)
            answers = self.task.answers(logits, self.temperature)
            limits = self.reference.limits(features.numpy(), logits.numpy())
        if views:
            looks = looks_of(views, self.input)
            parts = [self.averaged(images[spec], of_spec) for spec, of_spec in by_preparation(looks).items()]
            answers = torch.stack(parts).sum(dim=0)
        return self.probabilities(images[self.input]) if answers is None else answers, limits

    def _executed(self, prepared: Mapping[InputSpec, np.ndarray]) -> tuple[Float[Tensor, "n k"], list[Limits]] | None:
        execution = self.execution
        if execution is None or is_watched(self.model) or execution.state != state_of(self):
            return None
        probabilities, *limits = execution.run(prepared[self.input])
        rows = zip(*(each.tolist() for each in limits), strict=True)
        found = [Limits(similarity, p_value, none) for p_value, none, similarity in rows]
        return torch.from_numpy(probabilities), found or [Limits()] * len(probabilities)

    def set_threshold(self, coverage: float) -> float:
        """Return the largest 1 - p of a class in a set that holds the true class with probability `coverage`.

        Raises:
            ConfigError: there are too few scores of held-out images for it, or none.
        """
        if self.reference is None:
            raise ConfigError(
                "This classifier has no scores of held-out images, which sets with a coverage need: it was not trained "
                "on files with at least 19 validation images, or by an earlier version. Train it on more images: "
                "striate train DATA."
            )
        return self.reference.set_threshold(coverage)
