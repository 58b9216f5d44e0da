"""Build a model from pretrained weights, also for other classes or channels than theirs."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from striate.core.errors import ModelError
from striate.core.spec import InputSpec, channel_names
from striate.models._create import Arguments, create_model, meta_model
from striate.models._zoo import Network
from striate.models.weights.load import by, load_weights
from striate.models.weights.pretrained import Pretrained


def build_pretrained(
    found: Pretrained,
    *,
    classes: int | None = None,
    channels: int | None = None,
    size: int | tuple[int, int] | None = None,
    seed: int | None = None,
) -> Network:
    """Build the model of pretrained weights; what is not passed is that of the weights.

    With other classes, the layers that depend on their number keep their initial weights, drawn from `seed`; `labels`
    are then unknown. With other channels the first convolution is adapted: for one channel, grey, its kernels are
    summed over their channels; for any other number, each channel has their mean, scaled so that an image whose
    channels are all equal has the same response. Then the mean and std of the input are those of all channels.

    The network's `pretrained` is the description of its weights, without the tensors.

    Raises:
        ModelError: the weights do not admit this size, or the first layer cannot be adapted.
    """
    own = found.arguments
    wanted = Arguments(
        classes=own["classes"] if classes is None else classes,
        channels=own["channels"] if channels is None else channels,
        size=own["size"] if size is None else (size, size) if isinstance(size, int) else size,
    )
    network = create_model(found.model, **wanted, seed=seed)
    state = found.state if wanted == own else _adapted(found, wanted, network.state_dict())
    load_weights(network, state)
    network.pretrained = _described(found, wanted)
    return network


def _adapted(found: Pretrained, wanted: Arguments, places: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors for other arguments than those of the weights; new layers have the values of `places`."""
    own = found.arguments
    base = _shapes(found.model, own)
    heads = _changed(found.model, base, Arguments(**{**own, "classes": wanted["classes"]}))
    first = _changed(found.model, base, Arguments(**{**own, "channels": wanted["channels"]}))
    for path in places:
        if path not in heads and path not in first and places[path].shape != base[path]:
            raise ModelError(
                f"{found.name} fits images of {own['size'][0]}×{own['size'][1]} pixels only: {path!r} is "
                f"{by(base[path])}, and for {wanted['size'][0]}×{wanted['size'][1]} {found.model} has "
                f"{by(places[path].shape)}. Use --size {own['size'][0]}."
            )
    kernels = {path: _for_image(found, path, wanted["channels"]) for path in first}
    return dict(found.state) | {path: places[path] for path in heads} | kernels


def _shapes(model: str, arguments: Arguments) -> Mapping[str, torch.Size]:
    return _shapes_of(model, **arguments)


@functools.lru_cache(maxsize=16)
def _shapes_of(model: str, *, classes: int, channels: int, size: tuple[int, int]) -> Mapping[str, torch.Size]:
    sketch = meta_model(model, classes=classes, channels=channels, size=size)
    return {path: tensor.shape for path, tensor in sketch.state_dict().items()}


def _changed(model: str, base: Mapping[str, torch.Size], other: Arguments) -> list[str]:
    """Return the paths of the tensors whose shapes differ with other arguments."""
    return [path for path, shape in _shapes(model, other).items() if base[path] != shape]


def _for_image(found: Pretrained, path: str, channels: int) -> Tensor:
    """Return the kernels of the first convolution for another number of channels."""
    kernels = found.state[path]
    if kernels.ndim != 4 or kernels.shape[1] != found.arguments["channels"]:
        raise ModelError(
            f"{found.name} takes {found.arguments['channels']} channels, and {found.model} cannot be adapted to "
            f"{channels}: {path!r} is {by(kernels.shape)}, no convolution of the image. Leave the channels out."
        )
    return kernels.sum(dim=1, keepdim=True).expand(-1, channels, -1, -1).contiguous() / channels


def _described(found: Pretrained, wanted: Arguments) -> Pretrained:
    """Return the description of the adapted weights, without the tensors."""
    same_classes = wanted["classes"] == found.arguments["classes"]
    notes = found.notes
    spec = found.input
    if wanted["channels"] != found.arguments["channels"]:
        notes += (f"The first layer was adapted from {found.arguments['channels']} channels to {wanted['channels']}.",)
        spec = None if spec is None else _for_channels(spec, wanted["channels"])
    if spec is not None and wanted["size"] != spec.size:
        spec = for_size(spec, wanted["size"])
    if not same_classes:
        notes += (f"The last layer is new: {wanted['classes']} classes in place of {found.arguments['classes']}.",)
    labels = found.labels if same_classes else None
    return replace(found, arguments=wanted, state={}, input=spec, labels=labels, notes=notes)


def for_size(spec: InputSpec, size: tuple[int, int]) -> InputSpec:
    """Return the preparation for another size, with the same share of the image."""
    resized = spec.resized
    if resized is not None:
        resized = (round(resized[0] * size[0] / spec.height), round(resized[1] * size[1] / spec.width))
    return replace(spec, height=size[0], width=size[1], resized=resized)


def _for_channels(spec: InputSpec, channels: int) -> InputSpec:
    mean, std = sum(spec.mean) / len(spec.mean), sum(spec.std) / len(spec.std)
    return replace(spec, channels=channel_names(channels), mean=(mean,) * channels, std=(std,) * channels)
