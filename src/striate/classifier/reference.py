"""Features of the training images, and scores of held-out ones, to recognize images of none of the classes."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Float16, Float32, Int
from safetensors import SafetensorError
from safetensors.numpy import load, save
from torch import Tensor, nn

from striate.classifier.conformal import conformal_threshold, p_values
from striate.classifier.nearest import nearest_similarity, normalised, standardised
from striate.core.errors import ConfigError, RunError
from striate.core.files import read_regular, write_atomically

KEPT = 0.95
"""Fraction of the held-out images that are accepted as of one of the classes."""
LEAST = 19
"""Fewest validation images for a threshold: 5 % of new ones are expected to be below the least familiar of 19."""
_LARGEST = 10_000_000  # bytes of features; above, a sample of each class is stored
_STEM, _SUFFIX = "reference-", ".safetensors"


@dataclass(frozen=True)
class Limits:
    """Whether an image is of one of the classes, as `striate.tasks.Prediction` has it; None where it is not known."""

    similarity: float | None = None
    p_value: float | None = None
    none_of_these: bool | None = None


@dataclass(frozen=True, eq=False)
class Reference:
    """Features and scores of training images, by which a classifier recognises images of no known class.

    An image is of none of the classes if its familiarity is below `threshold`, the 5 % quantile of that of held-out
    images of the classes. Familiarity is the sum of the cosine similarity to the nearest of `features` (normalised) and
    of the largest logit, each in standard deviations from the mean of held-out images, `similarities` and `logits`.
    The similarity is low for images that look different, the logit for images between the classes; of unknown classes
    that look alike, the sum tells more than either (`results/small_data.md`). Without `logits`, similarity decides: so
    it is of networks trained from random weights (`results/small_data.md`), and in files of earlier versions.

    `scores` are 1 - p of the true class of held-out images, for sets with a stated coverage. A feature is the input of
    the layer `place`; that of a convolution is averaged over its positions.
    """

    place: str
    features: Float16[np.ndarray, "m d"]
    similarities: Float32[np.ndarray, " n"]
    scores: Float32[np.ndarray, " n"]
    logits: Float32[np.ndarray, " n"] | None = None

    @property
    def measures(self) -> str:
        """The measures by which an image is familiar, in words."""
        similarity = "its similarity to the nearest training image"
        return similarity if self.logits is None else f"{similarity} and its largest logit"

    @property
    def threshold(self) -> float:
        """The least familiarity of an image that is accepted as of one of the classes."""
        return float(np.quantile(self.held_out, 1 - KEPT, method="lower"))

    @property
    def held_out(self) -> Float[np.ndarray, " n"]:
        """The familiarity of held-out images."""
        return self.familiarity(self.similarities, self.logits)

    def familiarity(
        self, similarities: Float[np.ndarray, " m"], logits: Float[np.ndarray, " m"] | None
    ) -> Float[np.ndarray, " m"]:
        """Return the familiarity of images with these similarities and largest logits."""
        found = standardised(similarities, self.similarities)
        if self.logits is None or logits is None:
            return found
        return found + standardised(logits, self.logits)

    def familiarity_of(
        self, features: Float[np.ndarray, "n d"], logits: Float[np.ndarray, "n k"]
    ) -> tuple[Float32[np.ndarray, " n"], Float[np.ndarray, " n"]]:
        """Return the similarity and the familiarity of images with these features and logits."""
        similarities = nearest_similarity(normalised(features), self.features)
        return similarities, self.familiarity(similarities, logits.max(axis=1))

    def limits(self, features: Float[np.ndarray, "n d"], logits: Float[np.ndarray, "n k"]) -> list[Limits]:
        """Compare images with the training images, by their features and logits."""
        similarities, familiarity = self.familiarity_of(features, logits)
        columns = similarities, p_values(familiarity, self.held_out), familiarity < self.threshold
        return [Limits(*row) for row in zip(*(column.tolist() for column in columns), strict=True)]

    def set_threshold(self, coverage: float) -> float:
        """Return the largest 1 - p of a class in a set that holds the true class with probability `coverage`.

        Raises:
            ConfigError: there are too few held-out images for it.
        """
        return conformal_threshold(self.scores, coverage)

    def write(self, folder: Path) -> dict[str, str]:
        """Write the file into the classifier's `folder`, and return its entry in the description.

        The name follows from the content, so that an old description still finds the old file (`remove_others`).
        """
        tensors = {"features": self.features, "similarities": self.similarities, "scores": self.scores}
        if self.logits is not None:
            tensors["logits"] = self.logits
        data = save(tensors, metadata={"place": self.place})
        digest = hashlib.sha256(data).hexdigest()
        write_atomically(folder / _name(digest), data)
        return {"place": self.place, "sha256": digest}

    @classmethod
    def read(cls, folder: Path, entry: Any) -> Reference | None:
        """Read the file that `entry` of the description names; None if there is no entry.

        Raises:
            ConfigError: the entry is of another form.
            RunError: the file is missing or damaged.
        """
        if entry is None:
            return None
        if not isinstance(entry, dict) or not all(isinstance(entry.get(key), str) for key in ("place", "sha256")):
            raise ConfigError("'reference' names a place and the SHA-256 of a file")
        path = folder / _name(entry["sha256"])
        try:
            data = read_regular(path)
            if hashlib.sha256(data).hexdigest() != entry["sha256"]:
                raise ValueError("its digest differs")
            tensors = load(data)
            features, similarities, scores = (tensors[name] for name in ("features", "similarities", "scores"))
            logits = tensors.get("logits")
            if (
                features.ndim != 2
                or similarities.ndim != 1
                or not len(similarities)
                or scores.ndim != 1
                or (logits is not None and logits.shape != similarities.shape)
            ):
                raise ValueError("its arrays are of another form")
        except (OSError, ValueError, KeyError, SafetensorError) as error:
            raise RunError(f"{path} is missing or damaged ({error}). Restore it from a copy.") from error
        return cls(entry["place"], features, similarities, scores, logits)


def remove_others(folder: Path, entry: dict[str, str] | None) -> None:
    """Remove files of former references from `folder`."""
    for path in folder.glob(f"{_STEM}*{_SUFFIX}"):
        if entry is None or path.name != _name(entry["sha256"]):
            path.unlink(missing_ok=True)


def sample(targets: Int[np.ndarray, " n"], width: int) -> Int[np.ndarray, " m"]:
    """Return the rows whose features of `width` numbers are stored: all, or evenly spaced ones of each class.

    An even sample, unlike a covering one (k-centre), leaves held-out similarities valid: a new image and a held-out one
    meet the same sample.
    """
    step = -(-len(targets) * width * 2 // _LARGEST)
    chosen = [np.flatnonzero(targets == target)[::step] for target in np.unique(targets)]
    return np.sort(np.concatenate(chosen)) if chosen else np.empty(0, np.int64)


@contextmanager
def inputs_of(network: nn.Module, place: str) -> Iterator[Callable[[], Float[Tensor, "n d"]]]:
    """Catch the input of the layer `place` while `network` runs in this thread.

    Yields a function that returns it after the run: (n, d), averaged over positions where it is a map.
    """
    caught: list[Tensor] = []
    thread = threading.get_ident()

    def look(module: nn.Module, arguments: tuple[Tensor, ...]) -> None:
        if threading.get_ident() == thread:
            caught[:] = arguments[:1]

    def features() -> Float[Tensor, "n d"]:
        found = caught[-1]
        return (found.mean(dim=(2, 3)) if found.ndim == 4 else found.flatten(1)).float().cpu()

    handle = network.get_submodule(place).register_forward_pre_hook(look)
    try:
        yield features
    finally:
        handle.remove()


def _name(digest: str) -> str:
    return f"{_STEM}{digest[:16]}{_SUFFIX}"
