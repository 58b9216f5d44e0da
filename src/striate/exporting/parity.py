"""Compare the answers of an exported file with those of torch, on the same decoded images."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float

from striate.classifier import Classifier
from striate.core.errors import RunError
from striate.core.progress import Progress, silent
from striate.core.spec import InputSpec
from striate.data.images.decoded import DecodedImage
from striate.data.preparation.arrays import prepare, scale
from striate.data.preparation.colour import arrange
from striate.exporting.exporter import Runtime

TIE = 1e-3
"""Two classes are tied if torch's probabilities of them differ by at most this; either may then come first."""
LIMIT = 1e-3
"""The largest difference of a probability that passes."""
FLIPS, DIFFERENCE = "flips", "difference"
"""The differences that can be allowed: changed first classes, and probabilities that differ by more than `LIMIT`."""
_BATCH = 32


@dataclass(frozen=True, kw_only=True)
class Parity:
    """The comparison of a runtime with torch.

    `largest_difference`: of a probability. `changed`: images with another first class; `tied` of them had two classes
    within `TIE` in torch. `images`: how many were compared.
    """

    runtime: str
    images: int
    largest_difference: float
    changed: int
    tied: int

    @property
    def failures(self) -> dict[str, str]:
        """What does not pass, by the name under which it can be allowed."""
        found = {}
        if self.changed > self.tied:
            found[FLIPS] = f"{self.changed - self.tied:,} of {self.images:,} images have another first class"
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


def compare(runtime: str, expected: Float[np.ndarray, "n k"], found: Float[np.ndarray, "n k"]) -> Parity:
    """Compare the probabilities `found` by a runtime with those `expected`."""
    first, other = expected.argmax(axis=1), found.argmax(axis=1)
    rows = np.arange(len(expected))
    flips = first != other
    tied = flips & (expected[rows, first] - expected[rows, other] <= TIE)
    return Parity(
        runtime=runtime,
        images=len(expected),
        largest_difference=float(np.abs(expected - found).max()),
        changed=int(flips.sum()),
        tied=int(tied.sum()),
    )


@dataclass(frozen=True, eq=False)
class Answers:
    """The probabilities of torch and of each runtime for the same images, decoded completely.

    `as_trained`: those of torch for images that the classifier decodes at a fraction of their size; equal to `torch`
    for others.
    """

    torch: Float[np.ndarray, "n k"]
    runtimes: dict[str, Float[np.ndarray, "n k"]]
    as_trained: Float[np.ndarray, "n k"]
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
    columns = {runtime.name: np.stack([row[i] for row in rows]) for i, runtime in enumerate(runtimes)}
    expected = _torch(classifier, whole)
    return Answers(expected, columns, _torch(classifier, trained) if shrunk else expected, shrunk)


def _prepared(image: DecodedImage, spec: InputSpec) -> np.ndarray:
    return prepare(replace(image, prepared=""), spec)


def _torch(classifier: Classifier, prepared: Sequence[np.ndarray]) -> Float[np.ndarray, "n k"]:
    parts = [prepared[start : start + _BATCH] for start in range(0, len(prepared), _BATCH)]
    batches = (scale(torch.from_numpy(np.stack(part)), classifier.input) for part in parts)
    return np.concatenate([classifier.probabilities(batch).numpy() for batch in batches])
