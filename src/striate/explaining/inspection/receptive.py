"""What a position of a map sees of the picture, found out by poisoning the picture line by line."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from striate.explaining._batching import shares
from striate.explaining._borrowed import lent
from striate.explaining.inspection.layers import Places, as_map
from striate.explaining.model_input import suited
from striate.hooks import capture, place_names


@dataclass(frozen=True, eq=False)
class ReceptiveField:
    """What each position of the map of `place` sees, in pixels of the network's input.

    `rows` and `columns` (h w 2): from the first one seen to the one behind the last. All lie within the picture, so
    that a position near a border may see less than the others. What sees nothing but padding has twice 0.
    """

    place: str
    rows: Int[np.ndarray, "h w 2"]
    columns: Int[np.ndarray, "h w 2"]

    @property
    def size(self) -> tuple[int, int]:
        """The most rows and columns that any position sees."""
        return tuple(int((seen[..., 1] - seen[..., 0]).max()) for seen in (self.rows, self.columns))  # type: ignore[return-value]

    def box(self, y: int, x: int) -> tuple[int, int, int, int]:
        """Top, left, bottom and right (the last two exclusive) of what position (y, x) sees."""
        (top, bottom), (left, right) = self.rows[y, x].tolist(), self.columns[y, x].tolist()
        return top, left, bottom, right


def receptive_fields(model: nn.Module, images: Float[Tensor, "n c h w"], places: Places) -> tuple[ReceptiveField, ...]:
    """What the positions of each place see of pictures like the first of `images`.

    One row of the picture after another is made not-a-number, then one column after another. What is computed from it
    becomes not-a-number as well, whatever the weights, through ReLUs that are shut and windows whose maximum lies
    elsewhere: so this is where the gradient can be other than zero, for any network, in a forward pass for each line.
    Strides, padding, and positions of maps that are irregular (adaptive pooling, resizing) need no formula.

    A network that discards not-a-numbers, by `torch.where(x > 0, x, 0)` say, hides what it sees: where all positions
    of a map seem to see nothing, they are said to see the whole picture.
    """
    picture, places = suited(model, images[:1]), place_names(model, places)
    height, width = picture.shape[-2:]

    def run(lines: slice) -> list[Bool[Tensor, "m h w"]]:
        poisoned = picture.repeat(lines.stop - lines.start, 1, 1, 1)
        for item, line in enumerate(range(lines.start, lines.stop)):
            if line < height:
                poisoned[item, :, line] = torch.nan
            else:
                poisoned[item, :, :, line - height] = torch.nan
        model(poisoned)
        return [as_map(captured[place], place).isnan().any(1).cpu() for place in places]

    # Winograd's and Fourier's ways to convolve, which NNPACK and cuDNN may take, mix neighbours that should not meet.
    exactly = torch.backends.nnpack.flags(enabled=False), torch.backends.cudnn.flags(enabled=False)
    with lent(model), torch.no_grad(), capture(model, places) as captured, exactly[0], exactly[1]:
        found = [torch.cat(parts).numpy() for parts in zip(*shares(height + width, run), strict=True)]
    return tuple(
        ReceptiveField(place, _extent(seen[:height]), _extent(seen[height:]))
        for place, seen in zip(places, found, strict=True)
    )


def _extent(seen: Bool[np.ndarray, "lines h w"]) -> Int[np.ndarray, "h w 2"]:
    """From the first line that each position sees to the one behind the last."""
    blind = ~seen.any(axis=0)
    first = np.where(blind, 0, seen.argmax(axis=0))
    end = np.where(blind, len(seen) if blind.all() else 0, len(seen) - seen[::-1].argmax(axis=0))
    return np.stack([first, end], axis=-1)
