"""Pictures as they come, with their indices, in shares that fit into memory."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from striate.core.batch import Batch
from striate.core.protocols import Batches
from striate.explaining._batching import Shares
from striate.explaining.model_input import PictureError, suited

Pictures = Batches | Iterable[Batch] | Iterable[tuple[Any, Tensor]]
"""Many pictures: what a trainer reads (its epoch 0), batches, or pairs of the pictures' indices and the pictures."""


def stream(model: nn.Module, pictures: Pictures) -> Generator[tuple[list[int], Float[Tensor, "n c h w"]]]:
    """The pictures of all batches with their indices, one batch after another, suited to `model`.

    Raises:
        PictureError: there are none, an item is no batch, or sizes differ.
    """
    size: tuple[int, ...] | None = None
    batches = pictures.epoch(0) if isinstance(pictures, Batches) else iter(pictures)
    try:
        for item in batches:
            index, images = _parts(item)
            images = suited(model, images)
            if len(index) != len(images):
                raise PictureError(f"A batch has an index for each picture; received {len(index)} for {len(images)}.")
            size = size or tuple(images.shape[1:])
            if tuple(images.shape[1:]) != size:
                raise PictureError(f"All pictures must have one size; received {tuple(images.shape[1:])} after {size}.")
            yield index, images
    finally:
        close = getattr(batches, "close", None)
        if close is not None:
            close()
    if size is None:
        raise PictureError("Expected batches of pictures; received none.")


def _parts(item: Any) -> tuple[list[int], Any]:
    if isinstance(item, Batch):
        return item.index.tolist(), item.images
    if isinstance(item, (tuple, list)) and len(item) == 2:
        return [int(one) for one in item[0]], item[1]
    raise PictureError(
        f"Expected batches: `Batch`, or pairs of the pictures' indices and the pictures; received "
        f"{type(item).__name__}."
    )


def in_shares(
    batches: Iterable[tuple[list[int], Tensor]], look: Callable[[list[int], Float[Tensor, "n c h w"]], None]
) -> None:
    """`look` at the pictures of all batches, a share at a time: one picture first, then as many as fit into memory."""
    divided = Shares()

    def look_at(index: list[int], images: Tensor) -> None:
        for _ in divided(len(index), lambda chosen: look(index[chosen], images[chosen])):
            pass

    for index, images in batches:
        look_at(index, images)
