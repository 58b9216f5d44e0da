"""Networks whose weights are random, from the top down.

Adebayo, Gilmer, Muelly, Goodfellow, Hardt and Kim, "Sanity checks for saliency maps", NeurIPS 2018, arXiv:1810.03292,
section 3.1: cascading randomization. There, weights are drawn as at the start of a training; here each tensor becomes
normal noise of its own mean and standard deviation, and the statistics of batch norms are estimated again, so that maps
keep about the sizes they had and what changes is what was learned.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

_OF_EVERY_MODULE = frozenset(vars(nn.Module()))
_FOR_STATISTICS = 32  # images at most


class Cascade:
    """A copy of a network in eval mode, of which more and more layers become random, the last to run first.

    A layer is a module that has weights or statistics of its own. Statistics are estimated on `images`, the first of
    them if they are many. The noise follows from `seed`. The copy of a compiled network is not compiled.
    """

    def __init__(self, model: nn.Module, images: Float[Tensor, "n c h w"], seed: int) -> None:
        self.network = copied(model)
        self._images = images[:_FOR_STATISTICS]
        self._layers = _layers_from_top(self.network, images)
        self._noise = torch.Generator().manual_seed(seed)
        self._done = 0

    def __len__(self) -> int:
        return len(self._layers)

    @torch.no_grad()
    def down_to(self, depth: int) -> nn.Module:
        """Randomize the `depth` topmost layers and return the network; the depth can only grow."""
        for layer in self._layers[self._done : depth]:
            for weights in layer.parameters(recurse=False):
                weights.copy_(_noise_like(weights, self._noise))
        self._done = max(self._done, depth)
        with _estimating(self._layers[: self._done]):
            self.network(self._images.clone())  # which it may overwrite
        return self.network

    @torch.no_grad()
    def of_class(self, number: int, classes: int) -> nn.Module | None:
        """Randomize the weights of one class: its row in the topmost layer that has a row for each of the `classes`.

        Return None if there is no such layer.
        """
        for layer in self._layers:
            rows = [weights for weights in layer.parameters(recurse=False) if weights.shape[:1] == (classes,)]
            for weights in rows:
                weights[number] = _noise_like(weights, self._noise)[number]
            if rows:
                return self.network
        return None


def copied(model: nn.Module) -> nn.Module:
    """Copy a network; attributes other than weights and modules that cannot be copied, such as locks, are shared.

    The copy of a compiled network is not compiled, because each copy would be compiled again.
    """
    model = getattr(model, "_orig_mod", model)
    shared: dict[int, Any] = {}
    for module in model.modules():
        for name, value in vars(module).items():
            if name in _OF_EVERY_MODULE:
                continue
            try:
                copy.deepcopy(value)
            except TypeError:
                shared[id(value)] = value
    return copy.deepcopy(model, shared)


def _layers_from_top(model: nn.Module, images: Tensor) -> list[nn.Module]:
    """Return the layers in reverse order of execution.

    A layer that never runs itself (its weights are used by another) follows the one before it in the definition.
    """
    ran: dict[nn.Module, int] = {}

    def note(module: nn.Module, given: Any, output: Any) -> None:
        ran[module] = len(ran)

    hooks = [module.register_forward_hook(note) for module in model.modules()]
    try:
        with torch.no_grad():
            model(images[:1].clone())
    finally:
        for hook in hooks:
            hook.remove()
    places, last = {}, -1
    for module in model.modules():
        last = ran.get(module, last) if _holds(module) else last
        places[module] = last
    return sorted((module for module in model.modules() if _holds(module)), key=places.__getitem__)[::-1]


def _holds(module: nn.Module) -> bool:
    return isinstance(module, _BatchNorm) or any(True for _ in module.parameters(recurse=False))


def _noise_like(weights: Tensor, generator: torch.Generator) -> Tensor:
    if not weights.is_floating_point():
        return weights
    plain = weights.float()
    spread = plain.std(correction=0)  # of a single value it is 0, and the value stays
    noise = torch.randn(weights.shape, generator=generator).to(plain)
    return plain.mean() + spread * noise


@contextmanager
def _estimating(layers: list[nn.Module]) -> Iterator[None]:
    """In the next forward pass, let each batch norm among `layers` take its statistics from its first input."""

    def estimate(norm: _BatchNorm, given: tuple[Tensor, ...]) -> None:
        maps = given[0]
        but_channels = [axis for axis in range(maps.ndim) if axis != 1]
        if norm.running_mean is None or norm.running_var is None or maps.numel() == maps.shape[1]:
            return  # it keeps none, or there is one value for each channel, which has no spread
        norm.running_mean.copy_(maps.mean(but_channels))
        norm.running_var.copy_(maps.var(but_channels, correction=0))

    hooks = [layer.register_forward_pre_hook(estimate) for layer in layers if isinstance(layer, _BatchNorm)]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
