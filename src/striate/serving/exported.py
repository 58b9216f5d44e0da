"""An exported classifier as a model that is served: with the preparation of Striate, and its file in its runtime."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from striate.classifier import Failure, Prediction, Prepared
from striate.classifier.images import ImageLike, as_image
from striate.core.errors import DataError
from striate.core.spec import LabelSpec
from striate.data.images.decode import Unreadable
from striate.data.preparation.arrays import prepare
from striate.data.preparation.colour import arrange
from striate.exporting import Answer, Exported


class ExportedModel:
    """The files of `striate export`, opened in the first of their runtimes.

    A form with a file for prepared images answers in batches; another one image after the other.
    """

    def __init__(self, exported: Exported) -> None:
        self.network = exported.network
        self.labels: LabelSpec = exported.labels
        self.input = exported.input
        self.task = exported.task
        self._batches = exported.exporter.batches(exported.path)
        self._runtime = exported.exporter.runtimes(exported.path)[0] if self._batches is None else None

    def prepared(self, image: ImageLike, name: str) -> Prepared | Failure:
        """Decode and prepare one image for `answered`, in any thread."""
        try:
            decoded = as_image(image, self.input)
            if self._batches is not None:
                return Prepared(name, {self.input: prepare(decoded, self.input)})
            pixels = arrange(decoded.pixels[None], decoded.channels, self.input)[0]
            return Prepared(name, {self.input: np.ascontiguousarray(pixels)})
        except Unreadable as error:
            return Failure(name, error.why)
        except DataError as error:
            return Failure(name, str(error).rstrip("."))

    def answered(self, images: Sequence[Prepared]) -> list[Prediction | Failure]:
        """Classify prepared images."""
        pixels = [image.pixels[self.input] for image in images]
        if self._batches is not None:
            answers = self._batches(np.stack(pixels))
        else:
            assert self._runtime is not None
            answers = [self._runtime(each) for each in pixels]
        return [self._prediction(image.name, answer) for image, answer in zip(images, answers, strict=True)]

    def _prediction(self, name: str, answer: Answer) -> Prediction | Failure:
        row = answer.probabilities.tolist()
        if not all(map(math.isfinite, row)):
            return Failure(name, "the network's outputs for it are not finite numbers")
        found = self.task.prediction(name, row, self.labels)
        _, p_value, none_of_these, similarity = answer
        return replace(found, p_value=p_value, none_of_these=none_of_these, similarity=similarity)
