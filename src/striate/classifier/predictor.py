"""Classify images of any form: the common base of a classifier and an ensemble of classifiers."""

from __future__ import annotations

import io
import math
import os
from abc import ABC, abstractmethod
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Any, overload

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from striate.classifier.images import ImageLike, as_image, many, not_an_image, read_to_end
from striate.classifier.reference import Limits
from striate.core.errors import ConfigError, DataError
from striate.core.spec import InputSpec, LabelSpec
from striate.core.threads import in_order
from striate.data.images.decode import Unreadable
from striate.data.images.decoded import DecodedImage
from striate.data.preparation.arrays import prepare, scale
from striate.data.views import View, Views, read_views
from striate.tasks import Prediction, Task

if TYPE_CHECKING:
    from striate.classifier.classifier import Classifier


@dataclass(frozen=True)
class Failure:
    """An image that could not be classified, and the reason."""

    name: str
    reason: str


@dataclass(frozen=True, eq=False)
class Prepared:
    """An image in each preparation that is needed, not scaled yet."""

    name: str
    pixels: Mapping[InputSpec, np.ndarray]


class Predictor(ABC):
    """Base class of `Classifier` and `Ensemble`.

    Attributes:
        labels: the classes.
        task: the task, which converts outputs to probabilities.
    """

    labels: LabelSpec
    task: Task

    @property
    def runtime(self) -> str:
        """What computes the answers of `predict`: torch, or the runtime and precision of an export."""
        return "torch"

    @property
    @abstractmethod
    def members(self) -> tuple[Classifier, ...]:
        """The classifiers whose probabilities are averaged."""

    @abstractmethod
    def copied(self) -> Predictor | None:
        """Return one for another thread: its modules are its own, their weights those of this one.

        None for a network with hooks, which are not written for several threads, or one that cannot be copied.
        """

    @abstractmethod
    def preparations(self, views: Sequence[View] = ()) -> tuple[InputSpec, ...]:
        """Return every way of preparing an image that `answers` needs.

        Raises:
            ConfigError: the network or its input has no such views.
        """

    @abstractmethod
    def answers(
        self, images: Mapping[InputSpec, Float[Tensor, "n c h w"]], views: Sequence[View] = ()
    ) -> tuple[Float[Tensor, "n k"], list[Limits]]:
        """Return the probabilities of prepared and scaled images, and whether they are of one of the classes."""

    @abstractmethod
    def set_threshold(self, coverage: float) -> float:
        """Return the largest 1 - p of a class in a set that holds the true class with probability `coverage`.

        Raises:
            ConfigError: there are too few scores of held-out images for it, or none.
        """

    @overload
    def predict(self, images: ImageLike, *, coverage: float | None = None, views: Views = ()) -> Prediction: ...
    @overload
    def predict(
        self, images: Iterable[ImageLike], *, coverage: float | None = None, views: Views = ()
    ) -> list[Prediction]: ...
    def predict(
        self, images: ImageLike | Iterable[ImageLike], *, coverage: float | None = None, views: Views = ()
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

        With `views`, as in `"shift=1,flip"` (`striate.data.views`), the probabilities are the mean of those of several
        views of the image. The temperature, fitted on single images, applies to each view, and whether an image is of
        none of the classes is decided by the unchanged image.

        Raises:
            ConfigError: the classifier has too few held-out images for the coverage, or none; there are no such views,
                or the network does not take images of their size.
            DataError: an image cannot be read or is refused; the message names it. (`predictions` continues after it.)
        """
        several = many(images)
        if several and not isinstance(images, Iterable):
            raise not_an_image(images)
        results = []
        given: Any = images if several else [images]
        for result in self.predictions(given, coverage=coverage, views=views):
            if isinstance(result, Failure):
                raise DataError(f"{result.name} cannot be read: {result.reason}.")
            results.append(result)
        return results if several else results[0]

    def predictions(
        self,
        images: Iterable[ImageLike],
        *,
        batch_size: int = 32,
        coverage: float | None = None,
        views: Views = (),
        threads: int = 0,
    ) -> Generator[Prediction | Failure, None, None]:
        """Classify a stream of images, in order; an image that cannot be read yields a `Failure`.

        With `threads`, so many threads prepare images while the network answers earlier ones, two batches ahead.

        Raises:
            ConfigError: the classifier has too few held-out images for the `coverage`, or none; there are no such
                views, the network does not take images of their size, or `batch_size` is below 1.
        """
        if batch_size < 1:
            raise ConfigError(f"batch_size must be at least 1; received {batch_size}.")
        listed = read_views(views)
        if listed and coverage is not None:
            raise ConfigError(
                "Sets with a coverage follow from scores of single held-out images, so they have no guarantee for "
                "averaged views. Leave out coverage or views."
            )
        largest = None if coverage is None else self.set_threshold(coverage)
        specs = self.preparations(listed)

        def prepared(numbered: tuple[int, ImageLike]) -> Prepared | Failure:
            number, image = numbered
            return self._prepare(image, _name(number, image), specs)

        with closing(in_order(prepared, enumerate(images), threads=threads, ahead=2 * batch_size)) as stream:
            while group := list(islice(stream, batch_size)):
                readable = [item for item in group if not isinstance(item, Failure)]
                answers = iter(self._answer(readable, specs, listed, largest)) if readable else iter(())
                for item in group:
                    yield item if isinstance(item, Failure) else next(answers)

    def prepared(self, image: ImageLike, name: str) -> Prepared | Failure:
        """Decode and prepare one image for `answered`, in any thread."""
        return self._prepare(image, name, self.preparations())

    def answered(self, images: Sequence[Prepared]) -> list[Prediction | Failure]:
        """Classify prepared images as one batch: the second half of `predictions`."""
        return self._answer(images, self.preparations(), (), None)

    @staticmethod
    def _prepare(image: ImageLike, name: str, specs: Sequence[InputSpec]) -> Prepared | Failure:
        try:
            if len(specs) > 1 and isinstance(image, io.IOBase):
                image = read_to_end(image)  # once for all preparations
            return Prepared(name, {spec: prepare(as_image(image, spec), spec) for spec in specs})
        except Unreadable as error:
            return Failure(name, error.why)
        except DataError as error:
            return Failure(name, str(error).rstrip("."))

    def _answer(
        self, prepared: Sequence[Prepared], specs: Sequence[InputSpec], views: Sequence[View], largest: float | None
    ) -> list[Prediction | Failure]:
        stacks = {spec: np.stack([item.pixels[spec] for item in prepared]) for spec in specs}
        found = None if views else self._executed(stacks)
        if found is None:
            found = self.answers({spec: scale(torch.from_numpy(stack), spec) for spec, stack in stacks.items()}, views)
        answers, limits = found
        return [
            self._prediction(item.name, row, limit, largest)
            if all(map(math.isfinite, row))
            else Failure(item.name, "the network's outputs for it are not finite numbers")
            for item, row, limit in zip(prepared, answers.tolist(), limits, strict=True)
        ]

    def _executed(self, prepared: Mapping[InputSpec, np.ndarray]) -> tuple[Float[Tensor, "n k"], list[Limits]] | None:
        """Return the answers for prepared images that another program than torch computes; None if there is none."""
        return None

    def _prediction(self, name: str, row: list[float], limit: Limits, largest: float | None) -> Prediction:
        found = self.task.prediction(name, row, self.labels)
        ranked = found.probabilities.items()
        among = None if largest is None else tuple(label for label, value in ranked if 1 - value <= largest)
        return replace(found, **asdict(limit), among=among)


def _name(number: int, image: object) -> str:
    if isinstance(image, (np.ndarray, DecodedImage)):
        return f"array {number + 1}"
    return str(image) if isinstance(image, (str, os.PathLike)) else f"image {number + 1}"
