"""Where to look if nobody says where: the layers of a network, and its declared feature maps."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from striate.core.protocols import Described
from striate.explaining.pictures import suited
from striate.hooks import PlaceError, borrow, capture

_WEIGHTED = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)
# What may follow a weighted layer and still belong to it.
_FINISHING = (
    *(nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.PReLU, nn.RReLU, nn.ELU, nn.CELU, nn.SELU, nn.GELU, nn.SiLU, nn.Mish),
    *(nn.Hardswish, nn.Hardsigmoid, nn.Hardtanh, nn.Sigmoid, nn.Tanh, nn.Softplus, nn.Threshold),
    *(nn.BatchNorm1d, nn.BatchNorm2d, nn.GroupNorm, nn.InstanceNorm2d),
)


def layers(model: nn.Module, images: Float[Tensor, "n c h w"]) -> tuple[str, ...]:
    """The module paths of all layers of `model`, in the order in which a forward pass of `images` runs them.

    A layer is a 2-d convolution, or a dense layer that gives a row for each picture, with the batch norm and the
    activation that follow it: the path is that of the last of these. What is a function and no module, or runs more
    than once, is no part of it: then its map is that before the function.
    """
    running = _Layers()
    with borrow(model), capture(model, []), ExitStack() as stack, torch.no_grad():
        for path, module in model.named_modules():
            if isinstance(module, (*_WEIGHTED, *_FINISHING)):
                hook = functools.partial(running.ran, path.replace("_orig_mod.", ""))
                stack.callback(module.register_forward_hook(hook).remove)
        model(suited(model, images[:1]))
    return running.names()


class _Layers:
    """Which modules ran one behind the other, each on what the one before gave."""

    def __init__(self) -> None:
        self._paths: list[list[str]] = []
        self._calls: Counter[str] = Counter()
        self._last: Any = None

    def ran(self, path: str, module: nn.Module, given: tuple[Any, ...], output: Any) -> None:
        self._calls[path] += 1
        if isinstance(module, _WEIGHTED) and not (isinstance(module, nn.Linear) and output.ndim != 2):
            self._paths.append([path])
        elif self._paths and given and given[0] is self._last:
            self._paths[-1].append(path)
        else:
            return
        self._last = output

    def names(self) -> tuple[str, ...]:
        """Of each layer the last module that ran only once: another one stands for no place."""
        once = [[path for path in paths if self._calls[path] == 1] for paths in self._paths]
        return tuple(paths[-1] for paths in once if paths)


def places_of(model: nn.Module, images: Float[Tensor, "n c h w"], places: Sequence[str] | None) -> tuple[str, ...]:
    """`places`, each once; without any, the declared feature maps of `model`, and if it declares none, its layers."""
    if places is not None:
        return tuple(dict.fromkeys(places))
    if isinstance(model, Described) and model.feature_maps:
        return tuple(a_map.name for a_map in model.feature_maps)
    return layers(model, images)


def as_map(value: Tensor, place: str) -> Float[Tensor, "n u h w"]:
    """The activation of a place as a map of units; the row of a dense layer is a map of one position.

    Raises:
        PlaceError: it is neither.
    """
    if value.ndim == 2:
        return value[:, :, None, None]
    if value.ndim != 4:
        raise PlaceError(
            f"Units are the channels of a map (n, c, h, w) or of a row (n, k); place {place!r} gives "
            f"{tuple(value.shape)}: name another."
        )
    return value
