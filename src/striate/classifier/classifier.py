"""A trained model together with everything needed to use it."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field, replace
from itertools import islice
from typing import Any, overload

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from striate.classifier._folded import Running
from striate.classifier.images import ImageLike, as_image, check_prepared, many, not_an_image
from striate.classifier.provenance import Provenance
from striate.classifier.reference import Limits, Reference, inputs_of
from striate.classifier.seen import SeenImages
from striate.core.errors import ConfigError, DataError
from striate.core.notebook import table
from striate.core.spec import InputSpec, LabelSpec
from striate.data.images.decode import Unreadable
from striate.data.images.decoded import DecodedImage
from striate.data.preparation.arrays import prepare, scale
from striate.models import Arguments
from striate.tasks import CLASSIFICATION, Prediction, Task


@dataclass(frozen=True)
class Failure:
    """An image that could not be classified, and the reason."""

    name: str
    reason: str


@dataclass(frozen=True, eq=False)
class Classifier:
    """A model with its weights, `InputSpec`, `LabelSpec`, task and provenance.

    The zoo rebuilds `model` from `model_name` and `arguments`. `task` converts the model's outputs to probabilities;
    `temperature`, fitted on validation data, calibrates them. `seen` recognizes the images of the training, if they are
    recorded. `reference` recognizes images of none of the classes, if features are recorded.
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

    def to(self, device: str | torch.device) -> Classifier:
        """Return this classifier on another device; the model is moved in place, as by `torch.nn.Module.to`."""
        return replace(self, model=self.model.to(device))

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
        with torch.inference_mode():
            return self.task.outputs(running, images.to(self.device, self._type)).float().cpu()

    def probabilities(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k"]:
        """Compute the calibrated probability of each class for prepared images."""
        return self.task.answers(self.logits(images), self.temperature)

    @overload
    def predict(self, images: ImageLike, *, coverage: float | None = None) -> Prediction: ...
    @overload
    def predict(self, images: Iterable[ImageLike], *, coverage: float | None = None) -> list[Prediction]: ...
    def predict(
        self, images: ImageLike | Iterable[ImageLike], *, coverage: float | None = None
    ) -> Prediction | list[Prediction]:
        """Classify one image, or several.

        An image is a path, the bytes of a file, a Pillow image, an array or a tensor. All are prepared as in training;
        files, bytes and Pillow images are also decoded as in training.

        Arrays and tensors are grey (height, width), or have their channels last or first; if both are possible, last in
        an array and first in a tensor. Colours are red, green, blue, optionally followed by transparency. Values are
        uint8 from 0 to 255, uint16 from 0 to 65535, floating-point from 0 to 1, or booleans (True is white); integers
        from 0 to 255 of any other type are converted to uint8. A model trained on floating-point data accepts all
        finite values unchanged. Anything else is refused. An array or tensor of four dimensions is a batch of images.

        With a `coverage`, such as 0.95, a prediction names the classes `among` which the true one is with that
        probability (conformal prediction, over images like the held-out ones of the training).

        Raises:
            ConfigError: the classifier has too few held-out images for the coverage, or none.
            DataError: an image cannot be read or is refused; the message names it. (`predictions` continues after it.)
        """
        several = many(images)
        if several and not isinstance(images, Iterable):
            raise not_an_image(images)
        results = []
        given: Any = images if several else [images]
        for result in self.predictions(given, coverage=coverage):
            if isinstance(result, Failure):
                raise DataError(f"{result.name} cannot be read: {result.reason}.")
            results.append(result)
        return results if several else results[0]

    def predictions(
        self, images: Iterable[ImageLike], *, batch_size: int = 32, coverage: float | None = None
    ) -> Iterator[Prediction | Failure]:
        """Classify a stream of images, in order; an image that cannot be read yields a `Failure`.

        Raises:
            ConfigError: the classifier has too few held-out images for the `coverage`, or none.
        """
        largest = None if coverage is None else self._set_threshold(coverage)
        numbered = enumerate(images)
        while group := list(islice(numbered, batch_size)):
            prepared = [self._prepare(number, image) for number, image in group]
            readable = [item for item in prepared if not isinstance(item, Failure)]
            answers = iter(self._answer(readable, largest)) if readable else iter(())
            for item in prepared:
                yield item if isinstance(item, Failure) else next(answers)

    def _prepare(self, number: int, image: ImageLike) -> tuple[str, np.ndarray] | Failure:
        name = _name(number, image)
        try:
            return name, prepare(as_image(image, self.input), self.input)
        except Unreadable as error:
            return Failure(name, error.why)
        except DataError as error:
            return Failure(name, str(error).rstrip("."))

    def _set_threshold(self, coverage: float) -> float:
        if self.reference is None:
            raise ConfigError(
                "This classifier has no scores of held-out images, which sets with a coverage need. Train it by "
                "transfer: striate train DATA --transfer auto."
            )
        return self.reference.set_threshold(coverage)

    def _answer(self, prepared: list[tuple[str, np.ndarray]], largest: float | None) -> list[Prediction | Failure]:
        images = scale(torch.from_numpy(np.stack([pixels for _, pixels in prepared])), self.input)
        limits: list[Limits] = [Limits()] * len(prepared)
        if self.reference is None:
            answers = self.probabilities(images)
        else:
            logits, features = self.logits_and_features(images, self.reference.place)
            answers = self.task.answers(logits, self.temperature)
            limits = self.reference.limits(features.numpy())
        return [
            self._prediction(name, row, limit, largest)
            if all(map(math.isfinite, row))
            else Failure(name, "the network's outputs for it are not finite numbers")
            for (name, _), row, limit in zip(prepared, answers.tolist(), limits, strict=True)
        ]

    def _prediction(self, name: str, row: list[float], limit: Limits, largest: float | None) -> Prediction:
        found = self.task.prediction(name, row, self.labels)
        ranked = found.probabilities.items()
        among = None if largest is None else tuple(label for label, value in ranked if 1 - value <= largest)
        return replace(found, **asdict(limit), among=among)


def _name(number: int, image: object) -> str:
    if isinstance(image, (np.ndarray, DecodedImage)):
        return f"array {number + 1}"
    return str(image) if isinstance(image, (str, os.PathLike)) else f"image {number + 1}"
