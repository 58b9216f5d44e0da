"""Progressive freezing: groups of layers end their training one after another, from the input on.

A frozen layer keeps its weights, the statistics of its batch norms, and those of the optimizer. The backward pass ends
above the frozen layers, so the later part of a training costs less.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from torch import nn

from striate.core.registry import Registered, Registry
from striate.core.scalars import check_range
from striate.models import layer_groups
from striate.training import LayerRate

FREEZINGS: Registry[type[Freezing]] = Registry("kind of freezing")


@dataclass(frozen=True, kw_only=True)
class Freezing(Registered, ABC):
    """Options of progressive freezing.

    Attributes:
        shortened: the schedule of a layer's learning rate ends where the layer is frozen. Otherwise all layers have
            that of the training.
    """

    registry = FREEZINGS
    shortened: ClassVar[bool] = False

    @abstractmethod
    def end(self, place: float) -> float:
        """Return the fraction of the training at which the layers at `place`, from 0 (input) to 1 (head), are frozen.

        At 1 it is 1: the head is never frozen.
        """

    def factor(self, end: float) -> float:
        """Return the factor of the learning rate of layers that are frozen at `end`."""
        return 1.0


@dataclass(frozen=True, kw_only=True)
class FreezeOut(Freezing):
    """Each group of layers follows the schedule to its end at the fraction t of the training, and is frozen then.

    Brock, Lim, Ritchie and Weston 2017, "FreezeOut: accelerate training by progressively freezing layers",
    arXiv:1706.04983, section 3. The paper anneals by a cosine, which is schedule cosine. Of schedules that count
    epochs, such as step, a group passes each epoch in the fraction t of its time. The paper's layers are groups of
    layers here (`striate.layer_groups`). t grows linearly from `first` at the input to 1 at the head.

    Args:
        first: t of the first group of layers, above 0 and at most 1; where t is cubed, before it is.
        cubed: t³ takes the place of t, so that more groups are frozen early.
        scaled: the learning rate of a group is divided by its t, so that its sum over the training stays as it was.
    """

    shortened: ClassVar[bool] = True

    first: float = 0.8
    cubed: bool = True
    scaled: bool = True

    def __post_init__(self) -> None:
        check_range(self, "first", above=0, at_most=1)

    def end(self, place: float) -> float:
        linear = self.first + (1 - self.first) * place
        return linear**3 if self.cubed else linear

    def factor(self, end: float) -> float:
        return 1 / end if self.scaled else 1.0


@dataclass(frozen=True, kw_only=True)
class Layerwise(Freezing):
    """Groups of layers are frozen at equal distances of the training, and follow its schedule until then.

    Args:
        first: fraction of the training at which the first group of layers is frozen, above 0 and at most 1.
    """

    first: float = 0.5

    def __post_init__(self) -> None:
        check_range(self, "first", above=0, at_most=1)

    def end(self, place: float) -> float:
        return self.first + (1 - self.first) * place


for _kind in (FreezeOut, Layerwise):
    FREEZINGS.add(_kind.__name__.lower(), _kind)


def ending(
    freezing: Freezing | None, rates: Sequence[LayerRate], network: nn.Module, size: tuple[int, int]
) -> tuple[LayerRate, ...]:
    """Return `rates` of groups of layers, from the head to the input, with the ends of their training.

    Without rates, there is one for each group of layers of `network`, which takes images of `size`.
    """
    if freezing is None:
        return tuple(rates)
    if not rates:
        groups = reversed(layer_groups(network, size=size).values())
        trained = ([each for module in group for each in module.parameters(recurse=False)] for group in groups)
        rates = [LayerRate(parameters) for parameters in trained if parameters]
    ends = [freezing.end(1 - depth / max(1, len(rates) - 1)) for depth in range(len(rates))]
    pairs = zip(rates, ends, strict=True)
    return tuple(replace(rate, factor=rate.factor * freezing.factor(end), end=end) for rate, end in pairs)
