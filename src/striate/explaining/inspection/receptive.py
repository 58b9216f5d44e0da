"""The pixels that each position of a map sees: read from a trace, and measured where an operation is not known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from striate.explaining._batching import in_batches
from striate.explaining.inspection.layers import Places, as_map
from striate.explaining.model_input import as_model_input, borrowed_with_copies
from striate.hooks import capture, place_names
from striate.tracing import UNFOLLOWED, Recorder, extents, on_meta


@dataclass(frozen=True, eq=False)
class PlaceFields:
    """The receptive field of each position of the map of `place`, in pixels of the network's input.

    `rows` and `columns` (h w 2): the first one seen and the one after the last. All lie within the image, so that a
    position near a border may see less than others. A position that sees nothing but padding has twice 0.
    """

    place: str
    rows: Int[np.ndarray, "h w 2"]
    columns: Int[np.ndarray, "h w 2"]

    @property
    def size(self) -> tuple[int, int]:
        """The most rows and columns that any position sees."""
        return tuple(int((seen[..., 1] - seen[..., 0]).max()) for seen in (self.rows, self.columns))  # type: ignore[return-value]

    def box(self, y: int, x: int) -> tuple[int, int, int, int]:
        """Return top, left, bottom and right (the last two exclusive) of what position (y, x) sees."""
        (top, bottom), (left, right) = self.rows[y, x].tolist(), self.columns[y, x].tolist()
        return top, left, bottom, right


def receptive_fields(model: nn.Module, images: Float[Tensor, "n c h w"], places: Places) -> tuple[PlaceFields, ...]:
    """Find the pixels that the positions of each place see, for images of the size of `images`.

    They are those where the gradient of a position's values can be other than zero. One forward pass without data gives
    them where all operations before a place are known (see `tracing.extents`). Other places are measured, which needs
    no formula and works for any network, but takes a forward pass for each row and each column of the image: these are
    set to not-a-number one by one, and what is computed from them becomes not-a-number as well, whatever the weights,
    through ReLUs that are zero and windows whose maximum lies elsewhere.

    A network that discards not-a-numbers, for example by `torch.where(x > 0, x, 0)`, hides what it sees from a
    measurement: where all positions of a map seem to see nothing, the result is the whole image.
    """
    image, places = as_model_input(model, images[:1]), place_names(model, places)
    traced = _traced(model, image, places)
    missing = [place for place in places if place not in traced]
    found = traced | (dict(zip(missing, _measured(model, image, missing), strict=True)) if missing else {})
    return tuple(found[place] for place in places)


def _traced(model: nn.Module, image: Float[Tensor, "1 c h w"], places: Sequence[str]) -> dict[str, PlaceFields]:
    """Return the fields of those places before which all operations are known."""
    if any(module._forward_hooks or module._forward_pre_hooks for module in model.modules()):
        return {}  # they may change what is computed, and a copy has none
    try:
        copied, blank = on_meta(model, (image.shape[1], image.shape[2], image.shape[3]))
        recorder = Recorder(blank)
        with torch.no_grad(), capture(copied, places) as captured, recorder:
            copied(blank)
        seen = extents(recorder)
        values = {place: recorder.value(captured[place]) for place in places}
    except UNFOLLOWED:
        return {}
    boxes = {place: seen[value][0].numpy() for place, value in values.items() if value in seen}
    return {
        place: PlaceFields(place, _interval(*box[:2]), _interval(*box[2:]))
        for place, box in boxes.items()
        if np.isfinite(box).any()
    }


def _interval(first: Float[np.ndarray, "h w"], last: Float[np.ndarray, "h w"]) -> Int[np.ndarray, "h w 2"]:
    """Return the first line and the one after the last, of extents; twice 0 where there is none."""
    return np.where(np.isfinite(last)[..., None], np.stack([-first, last + 1], axis=-1), 0).astype(np.int64)


def _measured(model: nn.Module, image: Float[Tensor, "1 c h w"], places: Sequence[str]) -> list[PlaceFields]:
    """Set one row after another to not-a-number, then one column after another, and look where it arrives."""
    height, width = image.shape[-2:]

    def run(lines: slice) -> list[Bool[Tensor, "m h w"]]:
        poisoned = image.repeat(lines.stop - lines.start, 1, 1, 1)
        for item, line in enumerate(range(lines.start, lines.stop)):
            if line < height:
                poisoned[item, :, line] = torch.nan
            else:
                poisoned[item, :, :, line - height] = torch.nan
        model(poisoned)
        return [as_map(captured[place], place).isnan().any(1).cpu() for place in places]

    # Winograd's and Fourier's convolutions, which NNPACK and cuDNN may choose, mix neighbours that should not meet.
    exactly = torch.backends.nnpack.flags(enabled=False), torch.backends.cudnn.flags(enabled=False)
    with borrowed_with_copies(model), torch.no_grad(), capture(model, places) as captured, exactly[0], exactly[1]:
        found = [torch.cat(parts).numpy() for parts in zip(*in_batches(height + width, run), strict=True)]
    return [
        PlaceFields(place, _extent(seen[:height]), _extent(seen[height:]))
        for place, seen in zip(places, found, strict=True)
    ]


def _extent(seen: Bool[np.ndarray, "lines h w"]) -> Int[np.ndarray, "h w 2"]:
    """Return the first line that each position sees and the one after the last."""
    blind = ~seen.any(axis=0)
    first = np.where(blind, 0, seen.argmax(axis=0))
    end = np.where(blind, len(seen) if blind.all() else 0, len(seen) - seen[::-1].argmax(axis=0))
    return np.stack([first, end], axis=-1)
