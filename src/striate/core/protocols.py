"""The small types by which packages that do not know each other work together."""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping
from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor, nn

from striate.core.batch import Batch


@runtime_checkable
class Batches(Protocol):
    """What the trainer and the evaluator read: the batches of one epoch after another, from any position.

    `len` is the number of batches in an epoch, the same in every epoch. `epoch(n, start=k)` gives the batches of epoch
    n from its k-th on: the same batches, in the same order, whenever and however often it is asked. The iterator
    releases what it holds (threads, files) when it is closed.
    """

    def __len__(self) -> int: ...

    def epoch(self, epoch: int, *, start: int = 0) -> Iterator[Batch]: ...


@runtime_checkable
class Constrained(Protocol):
    """A module whose weights must stay in a set: the trainer calls `project_` after each update."""

    def project_(self) -> None: ...


@runtime_checkable
class Auxiliary(Protocol):
    """A network with auxiliary classifiers beside its main one: more losses, nearer to the first layers.

    `forward_with_auxiliary` gives the main logits and those of each auxiliary classifier by its name.
    `auxiliary_heads` are, by the same names, the paths of the modules that transfer learning replaces together with
    `head`; there are none where the pictures are too small for them.
    """

    auxiliary_heads: Mapping[str, str]

    def forward_with_auxiliary(
        self, x: Float[Tensor, "n c h w"]
    ) -> tuple[Float[Tensor, "n k"], dict[str, Float[Tensor, "n k"]]]: ...


@runtime_checkable
class Described(Protocol):
    """A network that declares its feature maps (module paths by name) and what transfer learning replaces (a path)."""

    feature_maps: Mapping[str, str]
    head: str

    def get_submodule(self, target: str) -> nn.Module: ...


class LayerRole(enum.Enum):
    """What a tracer may rely on in a layer of our own: the class attribute `layer_role`.

    A mark holds for its class alone and is not inherited: what a derived class computes is not known.
    """

    CONVOLUTION = "computes each output channel from one row of `weight` and `bias`, and reads them nowhere else"
    SCALE = "multiplies each channel by its number in `weight`"
    SUM = "adds its arguments"
    UNIT = "is drawn as one node of a graph, although it has modules inside"


def role_of(module: nn.Module) -> LayerRole | None:
    """Return the role with which the class of `module` is marked."""
    return vars(type(module)).get("layer_role")
