"""The call that made an explanation, kept so that it can be repeated."""

from __future__ import annotations

import hashlib
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from striate.core.errors import StriateError
from striate.explaining._repr import ShortRepr
from striate.explaining.target import Target
from striate.tasks import CLASSIFICATION, Task

_WHOLE = 2**14  # values of a tensor up to which all of them enter the fingerprint
_SAMPLED = 64  # values of each larger tensor that do


class InvocationError(StriateError):
    """A call that can no longer be repeated."""


@dataclass(frozen=True, eq=False, repr=False)
class Invocation(ShortRepr):
    """`function(model, images, target, task=task, **settings)`, with the model's state at the call.

    The model is held by a weak reference, so that an explanation keeps no network in memory.
    """

    function: Callable[..., Any]
    model: weakref.ref[nn.Module]
    fingerprint: str
    images: Float[Tensor, "n c h w"]
    target: Target
    settings: Mapping[str, Any]
    task: Task = CLASSIFICATION

    @classmethod
    def of(
        cls,
        function: Callable[..., Any],
        model: nn.Module,
        images: Tensor,
        target: Target,
        settings: Mapping[str, Any],
        task: Task = CLASSIFICATION,
    ) -> Invocation:
        kept = images.detach().clone()
        return cls(function, weakref.ref(model), fingerprint(model), kept, target, dict(settings), task)

    def network(self) -> nn.Module:
        """Return the model of the call.

        Raises:
            InvocationError: it was deleted, or its weights are not those of the call.
        """
        model = self.model()
        if model is None:
            raise InvocationError("The network of this explanation was deleted: explain again, and keep the network.")
        if fingerprint(model) != self.fingerprint:
            raise InvocationError("The network has changed since this explanation was made: explain again.")
        return model

    def of_rows(self, rows: list[int]) -> Invocation:
        """Return the call for some of the images, in this order; classes and settings of single images follow."""
        target = self.target
        if not callable(target) and isinstance(target, Sequence):
            target = [target[row] for row in rows]
        settings = settings_of_rows(self.settings, rows, self.images)
        return replace(self, images=self.images[rows], target=target, settings=settings)

    def repeat(self, model: nn.Module) -> Any:
        """Repeat the call on another network."""
        return self.function(model, self.images, self.target, task=self.task, **self.settings)


_OF_EACH_IMAGE = ("baseline", "fill")


def settings_of_rows(settings: Mapping[str, Any], rows: list[int], images: Float[Tensor, "n c h w"]) -> dict[str, Any]:
    """Return the settings for some of the images: of a baseline or a fill with a part for each, those parts.

    Other tensors, such as a background, belong to all images, whatever their shape.
    """
    return {
        name: value[rows]
        if name in _OF_EACH_IMAGE and isinstance(value, Tensor) and value.shape == images.shape
        else value
        for name, value in settings.items()
    }


@torch.no_grad()
def fingerprint(model: nn.Module) -> str:
    """Compute a digest that changes with the weights, buffers and layers of `model`.

    It covers each tensor's name, dtype, shape, version (torch's count of in-place changes) and values, of large tensors
    some, evenly spaced: reading all of a large network would take too long. A change that torch does not count (through
    `.data`, or through an array of NumPy) and that misses all these values is not detected. Of each module it covers
    the class and the settings that the class declares as its constants, such as a stride.
    """
    digest = hashlib.blake2b(digest_size=16)
    for name, tensor in chain(model.named_parameters(), model.named_buffers()):
        version = 0 if tensor.is_inference() else tensor._version
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)} {version}".encode())
        flat = tensor.detach().reshape(-1) if tensor.is_contiguous() else tensor.detach().flatten()
        some = flat if len(flat) <= _WHOLE else flat[:: len(flat) // _SAMPLED]
        digest.update(some.cpu().contiguous().view(torch.uint8).numpy().tobytes())
    for module in model.modules():
        settings = [getattr(module, name, None) for name in getattr(module, "__constants__", ())]
        plain = [value for value in settings if isinstance(value, (int, float, str, tuple))]
        digest.update(f"{type(module).__qualname__} {plain}".encode())
    return digest.hexdigest()
