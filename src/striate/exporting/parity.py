"""Compare the answers of an exported file with those of torch, on the same decoded images."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float

from striate.classifier import Classifier
from striate.core.errors import RunError
from striate.core.progress import Progress, silent
from striate.core.spec import InputSpec
from striate.data.images.decoded import DecodedImage
from striate.data.preparation.arrays import prepare, scale
from striate.data.preparation.colour import arrange
from striate.exporting.exporter import Answer, Runtime

TIE = 1e-3
"""Two classes are tied if torch's probabilities of them differ by at most this; either may then come first."""
MARGIN = 1e-2
"""Whether an image is of none of the classes is a tie if its familiarity is as close as this to the threshold.

In standard deviations of held-out images (`striate.classifier.reference.Reference`).
"""
LIMIT = 1e-3
"""The largest difference of a probability that passes."""
FLIPS, DIFFERENCE = "flips", "difference"
"""The differences that can be allowed: changed first classes, and probabilities that differ by more than `LIMIT`."""
_BATCH = 32


@dataclass(frozen=True, kw_only=True)
class Parity:
    """The comparison of a runtime with torch.

    `largest_difference`: of a probability. `changed`: images with another first class; `tied` of them had two classes
    within `TIE` in torch. `none_changed`: images that are of none of the classes in one of the two only; `none_tied` of
    them are within `MARGIN` of the threshold in torch. `images`: how many were compared.
    """

    runtime: str
    images: int
    largest_difference: float
    changed: int
    tied: int
    none_changed: int = 0
    none_tied: int = 0

    @property
    def failures(self) -> dict[str, str]:
        """What does not pass, by the name under which it can be allowed."""
        found = {}
        flips = [
            f"{count:,} of {self.images:,} images have another {answer}"
            for count, answer in (
                (self.changed - self.tied, "first class"),
                (self.none_changed - self.none_tied, 'answer to "none of these"'),
            )
            if count
        ]
        if flips:
            found[FLIPS] = " and ".join(flips)
        if not self.largest_difference <= LIMIT:
            found[DIFFERENCE] = f"a probability differs by {self.largest_difference:.2g}, more than {LIMIT:g}"
        return found

    def check(self, allow: Sequence[str]) -> None:
        """Check that each failure is allowed.

        Raises:
            RunError: one is not.
        """
        refused = {name: reason for name, reason in self.failures.items() if name not in allow}
        if refused:
            options = " ".join(f"--allow {name}" for name in refused)
            raise RunError(
                f"The exported file does not answer as torch does: in {self.runtime}, {' and '.join(refused.values())}."
                f" Nothing was written. To export it nevertheless: {options}"
            )


@dataclass(frozen=True, eq=False)
class Answered:
    """The answers for the same images: probabilities, and whether each is of none of the classes, where that is known.

    `margins`: by how much the familiarity of each exceeds the threshold, of torch.
    """

    probabilities: Float[np.ndarray, "n k"]
    none_of_these: Bool[np.ndarray, " n"] | None = None
    margins: Float[np.ndarray, " n"] | None = None


def compare(runtime: str, expected: Answered, found: Answered) -> Parity:
    """Compare the answers `found` by a runtime with those `expected`."""
    first, other = (each.probabilities.argmax(axis=1) for each in (expected, found))
    rows = np.arange(len(first))
    flips = first != other
    tied = flips & (expected.probabilities[rows, first] - expected.probabilities[rows, other] <= TIE)
    none_flips = none_ties = np.zeros(0)
    if expected.margins is not None:
        none_flips = found.none_of_these != expected.none_of_these
        none_ties = none_flips & (np.abs(expected.margins) <= MARGIN)
    return Parity(
        runtime=runtime,
        images=len(rows),
        largest_difference=float(np.abs(expected.probabilities - found.probabilities).max()),
        changed=int(flips.sum()),
        tied=int(tied.sum()),
        none_changed=int(none_flips.sum()),
        none_tied=int(none_ties.sum()),
    )


@dataclass(frozen=True, eq=False)
class Answers:
    """The answers of torch and of each runtime for the same images, decoded completely.

    `as_trained`: those of torch for images that the classifier decodes at a fraction of their size; equal to `torch`
    for others.
    """

    torch: Answered
    runtimes: dict[str, Answered]
    as_trained: Answered
    shrunk: int

    @property
    def parities(self) -> list[Parity]:
        return [compare(name, self.torch, found) for name, found in self.runtimes.items()]


def answers(
    classifier: Classifier,
    runtimes: Sequence[Runtime],
    images: Iterable[tuple[DecodedImage, DecodedImage]],
    total: int,
    progress: Progress = silent,
) -> Answers:
    """Run torch and `runtimes` on `images`: each decoded completely, and as the classifier decodes it."""
    spec, rows, shrunk = classifier.input, [], 0
    whole: list[np.ndarray] = []
    trained: list[np.ndarray] = []
    for done, (image, decoded) in enumerate(images, 1):
        pixels = np.ascontiguousarray(arrange(image.pixels[None], image.channels, spec)[0])
        rows.append([runtime(pixels) for runtime in runtimes])
        whole.append(_prepared(image, spec))
        same = decoded.pixels.shape == image.pixels.shape
        trained.append(whole[-1] if same else _prepared(decoded, spec))
        shrunk += not same
        progress("comparing", done, total)
    columns = {runtime.name: _stacked([row[i] for row in rows]) for i, runtime in enumerate(runtimes)}
    expected = _torch(classifier, whole)
    return Answers(expected, columns, _torch(classifier, trained) if shrunk else expected, shrunk)


def _prepared(image: DecodedImage, spec: InputSpec) -> np.ndarray:
    return prepare(replace(image, prepared=""), spec)


def _stacked(rows: Sequence[Answer]) -> Answered:
    none = None if any(row.none_of_these is None for row in rows) else np.array([row.none_of_these for row in rows])
    return Answered(np.stack([row.probabilities for row in rows]), none)


def _torch(classifier: Classifier, prepared: Sequence[np.ndarray]) -> Answered:
    spec, reference = classifier.input, classifier.reference
    parts = [prepared[start : start + _BATCH] for start in range(0, len(prepared), _BATCH)]
    batches = [scale(torch.from_numpy(np.stack(part)), spec) for part in parts]
    if reference is None:
        return Answered(np.concatenate([classifier.probabilities(batch).numpy() for batch in batches]))
    pairs = [classifier.logits_and_features(batch, reference.place) for batch in batches]
    logits, features = (torch.cat(column) for column in zip(*pairs, strict=True))
    margins = reference.familiarity_of(features.numpy(), logits.numpy())[1] - reference.threshold
    return Answered(classifier.task.answers(logits, classifier.temperature).numpy(), margins < 0, margins)
