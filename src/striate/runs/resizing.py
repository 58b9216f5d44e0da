"""Progressive resizing: training on smaller images first, which costs less, and on images of full size at the end."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from itertools import pairwise

from striate.core.duration import Duration
from striate.core.errors import ConfigError
from striate.core.registry import Registered, Registry
from striate.core.scalars import check_range
from striate.core.spec import InputSpec

RESIZINGS: Registry[type[Resizing]] = Registry("kind of resizing")
_MULTIPLE = 4  # pixels


@dataclass(frozen=True, kw_only=True)
class Resizing(Registered, ABC):
    """Options of progressive resizing. An epoch has one size; validation and test images have the full size."""

    registry = RESIZINGS

    @abstractmethod
    def side(self, fraction: float, full: int) -> int:
        """Return the shorter side in pixels of images in an epoch that begins after `fraction` of the training.

        `full` is the shorter side of the full size, which no side exceeds.
        """

    def sides(self, epochs: int, full: int) -> list[int]:
        """Return the different sides of a training of so many epochs, in order."""
        return list(dict.fromkeys(self.side(epoch / epochs, full) for epoch in range(epochs)))


@dataclass(frozen=True, kw_only=True)
class Growing(Resizing):
    """Sides that grow in equal steps over stages of equal length: S₀ + (S - S₀) · i / (M - 1) in stage i of M.

    Tan and Le 2021, "EfficientNetV2: smaller models and faster training", arXiv:2104.00298, algorithm 1; earlier
    Howard's entries to DAWNBench (fast.ai 2018). Sides are rounded to multiples of 4 pixels. The paper also strengthens
    augmentation and dropout from stage to stage, which is not done here.

    Args:
        start: side of the first stage as a fraction of the full one, above 0 and at most 1.
        stages: number of stages, at least 2; the images of the last one have the full size.
    """

    start: float = 0.5
    stages: int = 4

    def __post_init__(self) -> None:
        check_range(self, "start", above=0, at_most=1)
        check_range(self, "stages", at_least=2)

    def side(self, fraction: float, full: int) -> int:
        stage = min(int(fraction * self.stages + 1e-9), self.stages - 1)
        if stage == self.stages - 1:
            return full
        exact = full * (self.start + (1 - self.start) * stage / (self.stages - 1))
        return min(full, max(_MULTIPLE, _MULTIPLE * round(exact / _MULTIPLE)))


@dataclass(frozen=True, kw_only=True)
class Listed(Resizing):
    """Given sides, each until a fraction of the training; then the full size.

    As in Howard's CIFAR-10 and ImageNet trainings for DAWNBench (fast.ai 2018).

    Args:
        pixels: shorter side of the images of each stage, in pixels, at least 1.
        until: fraction of the training at which each stage ends, in ascending order, above 0 and at most 1.
    """

    pixels: tuple[int, ...] = (24,)
    until: tuple[float, ...] = (0.5,)

    def __post_init__(self) -> None:
        if not self.pixels or min(self.pixels) < 1:
            received = ", ".join(map(str, self.pixels)) or "none"
            raise ConfigError(f"pixels must be sides of at least 1 pixel; received {received}.")
        ascending = all(before < later for before, later in pairwise((0.0, *self.until)))
        if len(self.until) != len(self.pixels) or not ascending or self.until[-1] > 1:
            received = ", ".join(f"{end:g}" for end in self.until) or "none"
            raise ConfigError(
                f"until must be a fraction above 0 and at most 1 for each of the {len(self.pixels)} pixels, in "
                f"ascending order; received {received}."
            )

    def side(self, fraction: float, full: int) -> int:
        stages = zip(self.pixels, self.until, strict=True)
        return min(full, next((pixels for pixels, end in stages if fraction < end - 1e-9), full))


for _kind in (Growing, Listed):
    RESIZINGS.add(_kind.__name__.lower(), _kind)


def epochs_of(length: Duration, steps_per_epoch: int) -> float:
    """Return a length of training in epochs, which the sizes of a training follow.

    Raises:
        ConfigError: it is a length of time.
    """
    if length.unit not in ("ep", "st"):
        raise ConfigError(
            f"resizing depends on the fraction of the training that is over, and needs its length in epochs or steps; "
            f"received {length}. Choose epochs, as in --epochs 20."
        )
    return length.amount if length.unit == "ep" else length.amount / steps_per_epoch


def resized(spec: InputSpec, side: int) -> InputSpec:
    """Return the preparation of images of another size, whose shorter side is `side`."""
    full = min(spec.size)
    height, width = (max(1, round(each * side / full)) for each in spec.size)
    before_crop = None if spec.resized is None else tuple(max(1, round(each * side / full)) for each in spec.resized)
    return spec if side == full else replace(spec, height=height, width=width, resized=before_crop)
