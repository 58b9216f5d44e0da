"""Forms in which a classifier leaves torch, as registered settings types."""

from __future__ import annotations

import importlib.util
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Protocol, runtime_checkable

import numpy as np

from striate.classifier import Classifier
from striate.core.errors import ConfigError, DataError
from striate.core.progress import Progress, silent
from striate.core.registry import Registered, Registry
from striate.core.spec import GREY, RGB, InputSpec
from striate.exporting.samples import Samples


class Answer(NamedTuple):
    """The answer for an image: the probabilities (k,), and what `striate.tasks.Prediction` has of these names.

    All but the probabilities are None if the classifier does not recognize images of none of its classes.
    """

    probabilities: np.ndarray
    p_value: float | None = None
    none_of_these: bool | None = None
    similarity: float | None = None

    @classmethod
    def each(cls, outputs: Sequence[np.ndarray]) -> list[Answer]:
        """Return the answer for each image of a batch, from the outputs of `answering`."""
        probabilities, *limits = outputs
        return [cls(row, *rest) for row, *rest in zip(probabilities, *(each.tolist() for each in limits), strict=True)]


@runtime_checkable
class Runtime(Protocol):
    """A program outside of torch, with an exported file opened in it."""

    @property
    def name(self) -> str:
        """Name and version, such as `onnxruntime 1.32.0`."""
        ...

    def __call__(self, pixels: np.ndarray) -> Answer:
        """Return the answer for an upright image (h, w, c) in the channels and depth of the classifier.

        Raises:
            DataError: it has other channels, another depth, or no pixels.
        """
        ...


def checked_image(pixels: np.ndarray, channels: int, dtype: np.dtype[Any]) -> np.ndarray:
    """Return an image for a file that takes so many `channels` of `dtype`.

    OpenVINO would take other types, without the bits that do not fit, and answer an image without pixels.

    Raises:
        DataError: it is of other channels or another type, or has no pixels.
    """
    if pixels.ndim != 3 or pixels.shape[2] != channels or pixels.dtype != dtype or not pixels.size:
        raise DataError(
            f"This exported classifier takes an image of height × width × {channels} in {dtype}; received "
            f"{' × '.join(map(str, pixels.shape)) or 'a number'} in {pixels.dtype}."
        )
    return pixels


def check_installed(form: str, libraries: Sequence[str], extra: str) -> None:
    """Check that the `libraries` of the form called `form`, which are in an extra of Striate, are installed.

    Raises:
        ConfigError: one is not.
    """
    missing = [name for name in libraries if importlib.util.find_spec(name) is None]
    if missing:
        raise ConfigError(f"An export to {form} needs {' and '.join(missing)}: pip install 'striate[{extra}]'.")


Batches = Callable[[np.ndarray], list[Answer]]
"""From prepared images (n, c, h, w), not scaled, to the answer for each."""

EXPORTERS: Registry[type[Exporter]] = Registry("form of export")


@dataclass(frozen=True, kw_only=True)
class Exporter(Registered, ABC):
    """A form of export: the files that it writes, and the runtimes that open them.

    Attributes:
        programs: the names of stand-alone programs in `striate/exporting/programs` that use the files, each with its
            requirements in words.
        uses_samples: `tuned` needs images of the data.
        resizes: the files take decoded images of any size; otherwise prepared ones.
    """

    registry = EXPORTERS

    programs: ClassVar[Mapping[str, str]] = {}
    uses_samples: ClassVar[bool] = False
    resizes: ClassVar[bool] = True

    @abstractmethod
    def check(self) -> None:
        """Check that the libraries are installed that write and open the files.

        Raises:
            ConfigError: one is missing.
        """

    def check_opens(self) -> None:
        """Check that the libraries are installed that open the files; by default all that write them.

        Raises:
            ConfigError: one is missing.
        """
        self.check()

    def programs_for(self, spec: InputSpec) -> Mapping[str, str]:
        """Return the `programs` that can prepare a file of an image for `spec`: none without channels of colours."""
        return self.programs if set(spec.channels) <= {*RGB, *GREY} else {}

    @abstractmethod
    def write(self, classifier: Classifier, folder: Path) -> None:
        """Write the files of `classifier` into `folder`.

        Raises:
            ModelError: the network cannot be translated.
        """

    @abstractmethod
    def verify(self, folder: Path) -> None:
        """Check that the files hold nothing but data of a plausible size, before a runtime opens them.

        Raises:
            RunError: one does not.
        """

    @abstractmethod
    def runtimes(self, folder: Path) -> Sequence[Runtime]:
        """Open the files in every runtime that is installed; the first one is the one to use."""

    def tuned(
        self, classifier: Classifier, folder: Path, samples: Samples, progress: Progress = silent
    ) -> tuple[Exporter, dict[str, Any] | None]:
        """Change the files in `folder` to run fast on this machine; return the form with the choice, and its reasons.

        Raises:
            RunError: nothing passes.
        """
        return self, None

    @property
    def accepted(self) -> tuple[str, ...]:
        """What may differ from torch, as in `striate.exporting.parity`, because it was judged by other means."""
        return ()

    def batches(self, folder: Path) -> Batches | None:
        """Open the file that takes prepared images in batches; None if this form has none."""
        return None


EXPORTERS.expect("striate.exporting.cpu_files", ["cpu"])
EXPORTERS.expect("striate.exporting.onnx_files", ["onnx"])
EXPORTERS.expect("striate.exporting.openvino_files", ["openvino"])
EXPORTERS.expect("striate.exporting.pt2_files", ["pt2"])
