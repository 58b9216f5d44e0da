"""Protocols shared by packages that do not import each other."""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping
from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor, nn

from striate.core.batch import Batch


@runtime_checkable
class Batches(Protocol):
    """Batches of any epoch, from any position: the input of training and evaluation.

    `len` is the number of batches in an epoch, the same in every epoch. `epoch(n, start=k)` yields the batches of epoch
    n from its k-th on: every call yields the same batches in the same order. Closing the iterator releases its
    resources (threads, files).
    """

    def __len__(self) -> int: ...

    def epoch(self, epoch: int, *, start: int = 0) -> Iterator[Batch]: ...


@runtime_checkable
class Constrained(Protocol):
    """A module with constrained weights: the trainer calls `project_` after each update."""

    def project_(self) -> None: ...


@runtime_checkable
class Auxiliary(Protocol):
    """A model with auxiliary classifiers, which add losses nearer to the first layers.

    `forward_with_auxiliary` returns the main logits and those of each auxiliary classifier by name. `auxiliary_heads`
    maps the same names to the paths of the modules that transfer learning replaces together with `head`; it is empty if
    the images are too small for auxiliary classifiers.
    """

    auxiliary_heads: Mapping[str, str]

    def forward_with_auxiliary(
        self, x: Float[Tensor, "n c h w"]
    ) -> tuple[Float[Tensor, "n k"], dict[str, Float[Tensor, "n k"]]]: ...


@runtime_checkable
class Described(Protocol):
    """A model that declares its feature maps (module paths by name) and its head, which transfer learning replaces."""

    feature_maps: Mapping[str, str]
    head: str

    def get_submodule(self, target: str) -> nn.Module: ...


class LayerRole(enum.Enum):
    """Property of a custom layer that a tracer may rely on: the class attribute `layer_role`.

    A role holds for its class alone and is not inherited: a derived class may compute something else.
    """

    CONVOLUTION = "computes each output channel from one row of `weight` and `bias`, and reads them nowhere else"
    SCALE = "multiplies each channel by its number in `weight`"
    SUM = "adds its arguments"
    UNIT = "is drawn as one node of a graph, although it has modules inside"


def role_of(module: nn.Module) -> LayerRole | None:
    """Return the role of the class of `module`; None if it has none."""
    return vars(type(module)).get("layer_role")
