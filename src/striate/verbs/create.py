"""Build a network with initial or pretrained weights."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from striate.core.progress import silent
from striate.verbs._size import size_of
from striate.verbs._verb import with_progress

if TYPE_CHECKING:
    from striate.core.progress import Progress
    from striate.models import Network


@with_progress
def create(
    name: str,
    /,
    *,
    weights: str | Path | None = None,
    classes: int | None = None,
    channels: int | None = None,
    size: str | int | tuple[int, int] | None = None,
    seed: int | None = None,
    progress: Progress | None = None,
) -> Network:
    """Build a network as a module of PyTorch, with its paper's initial weights or with pretrained ones.

    With pretrained weights, another number of `classes` gives a new last layer, and other `channels` an adapted first
    one: for grey images the sum of its kernels over the channels, for others their mean, scaled to the same response.
    The module's attribute `pretrained` then describes the weights: their source, the preparation of images (`input`)
    and the names of the classes (`labels`).

    Example:
        network = striate.create("efficientnet_lite0", weights="efficientnet_lite0", classes=5)

    Args:
        name: the name of a network, as 'striate list-models' lists them, or an architecture.
        weights: a file (safetensors, torch, npz, Keras), a name of the catalogue ('striate list-models --weights'), or
            a repository of the Hugging Face hub, such as timm/resnet50.a1_in1k; by default initial weights.
        classes: number of classes; by default that of the weights, else of the network's card.
        channels: channels of the images; by default those of the weights, else of the card.
        size: height and width of the images, as in 224 or (48, 64).
        seed: the seed of the initial weights; by default they are drawn from torch's random state.
        progress: called as progress(stage, done, total); by default a bar on a terminal or in a notebook.

    Raises:
        ModelError: there is no such network or no such weights, or they do not fit; the message names the tensor, its
            shape and the expected one.
    """
    from striate import models
    from striate.models.weights import build_pretrained, pretrained

    sides = None if size is None else size_of(size)
    if weights is None:
        return models.create_model(name, classes=classes, channels=channels, size=sides, seed=seed)
    found = pretrained(weights, name, size=sides, progress=progress or silent)
    return build_pretrained(found, classes=classes, channels=channels, size=sides, seed=seed)
