"""How libraries lay out tensors: the order of the axes of a kernel, and the names of a layer's tensors."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor, nn

_KERAS_NORM = {"weight": "gamma", "bias": "beta", "running_mean": "moving_mean", "running_var": "moving_variance"}
_KERAS_LAYER = {"weight": "kernel", "bias": "bias"}


@dataclass(frozen=True)
class Layout:
    """Names and orders of axes of one library.

    `ours` names a tensor of a module as the library would, with our module's path. `theirs` makes the names of a file
    uniform. `tensor` returns a tensor of the library in the shape that the module has, where it can be brought to it;
    its last argument counts the channels of the map that a fully connected layer reads, 0 for others.
    """

    ours: Callable[[str, str, nn.Module], str]
    theirs: Callable[[str], str]
    tensor: Callable[[Tensor, Tensor, nn.Module, int], Tensor]


def _dotted(path: str, leaf: str, module: nn.Module) -> str:
    return f"{path}.{leaf}" if path else leaf


def _unwrapped(name: str) -> str:
    return name


def _reshaped(tensor: Tensor, place: Tensor, module: nn.Module, channels: int) -> Tensor:
    """Bring (k, c, 1, 1), (k, c) and (k, c, h, w), (k, c·h·w) to each other, and (c, 1, 1) to (c,)."""
    if not tensor.ndim or not place.ndim or tensor.ndim == place.ndim:
        return tensor
    inner = place.shape[1:]
    return tensor.reshape(len(tensor), *inner) if tensor.shape[1:].numel() == inner.numel() else tensor


def _slashed(path: str, leaf: str, module: nn.Module) -> str:
    names = _KERAS_LAYER if isinstance(module, (nn.Conv2d, nn.Linear)) else _KERAS_NORM
    return f"{path}/{names.get(leaf, leaf)}"


def _uniform(name: str) -> str:
    """Return LAYER/VARIABLE for the names that versions of Keras give.

    >>> _uniform("conv1/conv1/kernel:0"), _uniform("fire2/squeeze1x1/fire2/squeeze1x1_W:0")
    ('conv1/kernel', 'fire2/squeeze1x1/kernel')
    """
    name = re.sub(r"_W$", "/kernel", re.sub(r"_b$", "/bias", name.removesuffix(":0")))
    name = re.sub(r"/depthwise_kernel$", "/kernel", name)
    return re.sub(r"^(.+)/\1/", r"\1/", name)


def _torch_order(tensor: Tensor, place: Tensor, module: nn.Module, channels: int) -> Tensor:
    """Bring kernels (h, w, in, out), depthwise ones (h, w, in, multiplier) and matrices (in, out) to torch's order."""
    if isinstance(module, nn.Conv2d) and tensor.ndim == 4:
        if module.groups > 1 and tensor.shape[2] == module.in_channels:
            return tensor.permute(2, 3, 0, 1).flatten(0, 1).unsqueeze(1)
        return tensor.permute(3, 2, 0, 1)
    if isinstance(module, nn.Linear) and tensor.ndim > 1:
        matrix = tensor.flatten(0, -2)
        if channels and len(matrix) % channels == 0:  # of a map that Keras flattens with its channels last
            matrix = matrix.unflatten(0, (-1, channels)).transpose(0, 1).flatten(0, 1)
        return matrix.t()
    return tensor.reshape(place.shape) if tensor.numel() == place.numel() else tensor  # (c,) of a layer scale


TORCH = Layout(_dotted, _unwrapped, _reshaped)
KERAS = Layout(_slashed, _uniform, _torch_order)


def own_tensors(network: nn.Module) -> Mapping[str, tuple[nn.Module, str, str]]:
    """Return the module, its path and the tensor's own name for each path of the state dict."""
    modules = dict(network.named_modules())
    split = {name: name.rpartition(".") for name in network.state_dict()}
    return {name: (modules[path], path, leaf) for name, (path, _, leaf) in split.items()}
