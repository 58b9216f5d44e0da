"""The part of a classifier that leaves torch as one network: from prepared images to its answers."""

from __future__ import annotations

import contextlib

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Float32, Float64
from torch import Tensor, nn

from striate.classifier import Classifier
from striate.classifier.reference import Reference, inputs_of
from striate.core.device import full_precision
from striate.core.errors import ConfigError
from striate.data.preparation.colour import storage_dtype
from striate.tracing import fold

PROBABILITIES, P_VALUE, NONE_OF_THESE, SIMILARITY = "probabilities", "p_value", "none_of_these", "similarity"
"""Names of the outputs. The last three are there if the classifier recognizes images of none of its classes."""

_COVERAGES = (0.9, 0.95, 0.99)
_SHORTEST = 1e-30  # length of features that counts as zero, in float32 too


def answering(classifier: Classifier) -> tuple[nn.Module, Float[Tensor, "n c h w"]]:
    """Return the network from prepared levels, in float32, to the answers, and an example of its input.

    It returns the probabilities (n, k); of a classifier with a reference also the p-values (n,) of the hypothesis that
    an image is of one of the classes, whether it is of none, and the similarity to the nearest training image.
    """
    return _Answering(classifier).eval(), torch.zeros(2, *classifier.input.shape)


def set_thresholds(classifier: Classifier) -> dict[str, float]:
    """Return the largest 1 - p of a class in sets with a coverage, by coverage, as far as held-out images suffice.

    See `Classifier.set_threshold`.
    """
    found = {}
    for coverage in _COVERAGES:
        with contextlib.suppress(ConfigError):
            found[f"{coverage:g}"] = classifier.set_threshold(coverage)
    return found


class _Answering(nn.Module):
    """Scale prepared images, run the network, and convert its outputs to answers."""

    first: Tensor
    second: Tensor

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        spec, reference = classifier.input, classifier.reference
        self.network = fold(classifier.model.eval(), spec.shape)
        self._task, self._temperature = classifier.task, classifier.temperature
        self._divides = storage_dtype(spec) == np.float32
        columns = ([spec.maximum * value for value in column] for column in (spec.mean, spec.std))
        first, second = columns if self._divides else spec.scaling
        self.register_buffer("first", torch.tensor(first, dtype=torch.float32).view(1, -1, 1, 1))
        self.register_buffer("second", torch.tensor(second, dtype=torch.float32).view(1, -1, 1, 1))
        self._place = reference.place if reference else ""
        self.familiarity = _Familiarity(reference) if reference else None

    def forward(self, levels: Tensor) -> Tensor | tuple[Tensor, ...]:
        scaled = (levels - self.first) / self.second if self._divides else levels * self.first + self.second
        if self.familiarity is None:
            return self._task.answers(self._task.outputs(self.network, scaled), self._temperature)
        with inputs_of(self.network, self._place) as features:
            outputs = self._task.outputs(self.network, scaled)
            with full_precision(outputs.device):
                limits = self.familiarity(features(), outputs.float())
        return (self._task.answers(outputs, self._temperature), *limits)


class _Familiarity(nn.Module):
    """Compare features and logits with those of the training images, as `Reference.limits` does."""

    features: Tensor
    held_out: Tensor
    threshold: Tensor

    def __init__(self, reference: Reference) -> None:
        super().__init__()
        self.register_buffer("features", torch.from_numpy(reference.features))
        self.register_buffer("held_out", torch.from_numpy(reference.held_out))
        self.register_buffer("threshold", torch.tensor(reference.threshold, dtype=torch.float64))
        columns = [each.astype(np.float64) for each in (reference.similarities, reference.logits) if each is not None]
        self._means = [float(each.mean()) for each in columns]
        self._spreads = [float(each.std() or 1.0) for each in columns]

    def forward(
        self, features: Float32[Tensor, "n d"], logits: Float32[Tensor, "n k"]
    ) -> tuple[Float32[Tensor, " n"], Bool[Tensor, " n"], Float32[Tensor, " n"]]:
        exact = features.double()
        lengths = exact.square().sum(1, keepdim=True).sqrt().clamp(min=_SHORTEST)
        similarities = F.linear((exact / lengths).float(), self.features.float()).amax(1)
        familiarity = self._standardised(similarities, 0)
        if len(self._means) > 1:
            familiarity = familiarity + self._standardised(logits.amax(1), 1)
        below = (familiarity.unsqueeze(1) >= self.held_out).double().sum(1)
        return ((below + 1) / (len(self.held_out) + 1)).float(), familiarity < self.threshold, similarities

    def _standardised(self, values: Float32[Tensor, " n"], column: int) -> Float64[Tensor, " n"]:
        return (values.double() - self._means[column]) / self._spreads[column]
