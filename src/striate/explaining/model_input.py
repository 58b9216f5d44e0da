"""Check and prepare what an explanation receives: the model and its images."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing, contextmanager
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from striate.core.batch import Batch
from striate.core.errors import StriateError
from striate.core.protocols import Batches
from striate.explaining._batching import AutoBatch
from striate.hooks import borrow


class ImageError(StriateError):
    """Images that do not fit a network."""


class NetworkError(StriateError):
    """An object that is not a network, where one is to be explained."""


def as_model_input(model: nn.Module, images: Any) -> Float[Tensor, "n c h w"]:
    """Copy `images` to the device and dtype of the weights of `model`, detached from any graph.

    Raises:
        NetworkError: `model` is not a network.
        ImageError: they are not a batch of prepared images.
    """
    check_model(model)
    if not isinstance(images, Tensor) or images.ndim != 4 or not images.is_floating_point() or 0 in images.shape:
        given = f"{images.dtype} {tuple(images.shape)}" if isinstance(images, Tensor) else type(images).__name__
        raise ImageError(f"Expected prepared images as float numbers of shape (n, c, h, w); received {given}.")
    weights = next((weight for weight in model.parameters() if weight.is_floating_point()), images)
    with torch.inference_mode(False):  # the copy must be one that can be differentiated
        return images.detach().to(weights.device, weights.dtype, copy=True)


def check_model(model: Any) -> None:
    """Check that `model` is a network.

    Raises:
        NetworkError: it is not.
    """
    if isinstance(model, nn.Module):
        _check_takes_images(model)
        return
    if isinstance(model, (str, Path)):
        received = f"the path {str(model)!r}: load it (striate.load), or use striate.explain, which takes a run's path"
    elif isinstance(getattr(model, "model", None), nn.Module):
        received = f"{type(model).__name__}: give the network that it holds, its .model"
    else:
        received = f"{type(model).__name__}: wrap it in a module"
    raise NetworkError(f"An explanation needs a network (torch.nn.Module); received {received}.")


def _check_takes_images(model: nn.Module) -> None:
    """Check that `model` can be called with images and nothing else.

    Raises:
        NetworkError: it needs further inputs.
    """
    try:
        signature = inspect.signature(model.forward)
    except (TypeError, ValueError):  # scripted, or not of Python
        return
    try:
        signature.bind(None)
    except TypeError as error:
        raise NetworkError(
            f"An explanation calls the network with images alone; {type(model).__name__}.forward{signature} does not "
            f"allow that ({error}): wrap it in a module that takes the images and adds the rest."
        ) from None


@contextmanager
def borrowed_with_copies(model: nn.Module) -> Iterator[None]:
    """Within the block, borrow `model` (see `striate.hooks.borrow`) and pass it copies of its inputs.

    Weights that were made in inference mode, through which autograd does not differentiate, are replaced by copies; the
    end of the block restores the originals.
    """
    with borrow(model):
        _replace_inference_tensors(model)
        if not isinstance(model, torch.jit.ScriptModule):  # which takes no hooks
            model.register_forward_pre_hook(_with_copies, prepend=True)  # removed at the end of the block
        yield


def _replace_inference_tensors(model: nn.Module) -> None:
    copies: dict[Tensor, Tensor] = {}  # shared weights stay shared
    for module in model.modules():
        if isinstance(module, torch.jit.ScriptModule):
            continue
        for name, tensor in [*module._parameters.items(), *module._buffers.items()]:
            if tensor is None or not tensor.is_inference():
                continue
            if tensor not in copies:
                copy = tensor.detach().clone()
                is_parameter = isinstance(tensor, nn.Parameter)
                copies[tensor] = nn.Parameter(copy, requires_grad=False) if is_parameter else copy
            holder = module._parameters if name in module._parameters else module._buffers
            holder[name] = copies[tensor]  # pyright: ignore[reportArgumentType]


def _with_copies(model: nn.Module, given: tuple[Any, ...]) -> tuple[Any, ...]:
    """Copy a network's inputs: it may overwrite them, which autograd forbids where they are differentiated."""
    with torch._C.DisableTorchFunction():  # not an operation of the network
        return tuple(one.clone() if isinstance(one, Tensor) else one for one in given)


ImageBatches = Batches | Iterable[Batch] | Iterable[tuple[Any, Tensor]]
"""Many images: what a trainer reads (its epoch 0), batches, or pairs of the images' indices and the images."""


def image_batches(model: nn.Module, batches: ImageBatches) -> Generator[tuple[list[int], Float[Tensor, "n c h w"]]]:
    """Yield the indices and the images of each batch, the images prepared for `model`.

    Raises:
        ImageError: there are none, an item is not a batch, or sizes differ.
    """
    size: tuple[int, ...] | None = None
    items = batches.epoch(0) if isinstance(batches, Batches) else iter(batches)
    try:
        for item in items:
            index, images = _parts(item)
            images = as_model_input(model, images)
            if len(index) != len(images):
                raise ImageError(f"A batch has an index for each image; received {len(index)} for {len(images)}.")
            size = size or tuple(images.shape[1:])
            if tuple(images.shape[1:]) != size:
                raise ImageError(f"All images must have one size; received {tuple(images.shape[1:])} after {size}.")
            yield index, images
    finally:
        close = getattr(items, "close", None)
        if close is not None:
            close()
    if size is None:
        raise ImageError("Expected batches of images; received none.")


@contextmanager
def searched_batches(
    model: nn.Module, images: Float[Tensor, "n c h w"], batches: ImageBatches
) -> Iterator[Iterator[tuple[list[int], Float[Tensor, "m c h w"]]]]:
    """Within the block, read `batches`, which are searched for images or parts similar to those of `images`.

    Raises:
        ImageError: as `image_batches`, or the images searched have another size than `images`.
    """
    with closing(image_batches(model, batches)) as searched:
        first = next(searched)
        if first[1].shape[1:] != images.shape[1:]:
            raise ImageError(
                f"The images and those searched must have one size; received {tuple(images.shape[1:])} and "
                f"{tuple(first[1].shape[1:])}."
            )
        yield chain([first], searched)


def _parts(item: Any) -> tuple[list[int], Any]:
    if isinstance(item, Batch):
        return item.index.tolist(), item.images
    if isinstance(item, (tuple, list)) and len(item) == 2:
        return [int(one) for one in item[0]], item[1]
    raise ImageError(
        f"Expected batches: `Batch`, or pairs of the images' indices and the images; received {type(item).__name__}."
    )


def for_batches(
    batches: Iterable[tuple[list[int], Tensor]], look: Callable[[list[int], Float[Tensor, "n c h w"]], None]
) -> None:
    """`look` at the images of all batches, a share at a time: one image first, then as many as fit into memory."""
    divided = AutoBatch()

    def look_at(index: list[int], images: Tensor) -> None:
        for _ in divided(len(index), lambda chosen: look(index[chosen], images[chosen])):
            pass

    for index, images in batches:
        look_at(index, images)
