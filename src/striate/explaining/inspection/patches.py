"""Top patches: the parts of many images that excite a unit most, which show what it has learned to detect.

tops = top_patches(network, batches)                       # one result per place, in the order of the places
for top in tops:
    top.place, top.values                                  # "stage2", (u k): its u units, their k strongest
    top.patches(3)                                         # (k c h w): what unit 3 saw there
    project_patches(network, top, [3])                     # (1 k c h w): the deconvnet's projections
    top.units.dead(), top.units.redundant()
"""

from __future__ import annotations

from collections.abc import Set
from contextlib import closing
from dataclasses import dataclass
from itertools import chain

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor, nn

from striate.core.errors import ConfigError
from striate.explaining._batching import checked_batching
from striate.explaining._repr import ShortRepr
from striate.explaining.inspection.layers import Places, as_map, places_of
from striate.explaining.inspection.receptive import PlaceFields, receptive_fields
from striate.explaining.inspection.units import Tally, Units
from striate.explaining.model_input import ImageBatches, borrowed_with_copies, for_batches, image_batches
from striate.hooks import capture


@dataclass(frozen=True, eq=False, repr=False)
class TopPatches(ShortRepr):
    """For each of the u units (channels) of `place`, the k patches of a set of images that excite it most.

    `values` (u k): the activations, the largest first. `index` (u k): the image of each in its data set. `positions` (u
    k 2): where in the map, (y, x). `boxes` (u k 4): the receptive field of that position, as top, left, bottom and
    right (the last two exclusive) in pixels of the network's input; near a border it is smaller. `size`: height and
    width of the patches, those of the largest receptive field in the map. `units`: statistics of the units over all
    images. Where there were fewer than k images, `values` is NaN, `index` and `positions` are -1, and the box is empty.

    `images` (p c H W) are those images, each once, as prepared for the network, shared by the results of one pass;
    `rows` (u k) is the row of each patch's image.
    """

    place: str
    values: Float[np.ndarray, "u k"]
    index: Int[np.ndarray, "u k"]
    positions: Int[np.ndarray, "u k 2"]
    boxes: Int[np.ndarray, "u k 4"]
    size: tuple[int, int]
    units: Units
    images: Float[np.ndarray, "p c H W"]
    rows: Int[np.ndarray, "u k"]

    def patches(self, unit: int) -> Float[np.ndarray, "k c h w"]:
        """Return the patches of one unit, cut out of the prepared images (see `cut`)."""
        return np.stack([self.cut(self.images[row], unit, rank) for rank, row in enumerate(self.rows[unit])])

    def inside(self, unit: int) -> Bool[np.ndarray, "k h w"]:
        """Return which pixels of the unit's patches lie within the image."""
        whole = np.ones((1, *self.images.shape[2:]), bool)
        return np.stack([self.cut(whole, unit, rank)[0] for rank in range(self.values.shape[1])])

    def cut(self, image: Shaped[np.ndarray, "c H W"], unit: int, rank: int) -> Shaped[np.ndarray, "c h w"]:
        """Cut the box of a unit's patch number `rank` out of `image`; all patches of the place have one size.

        A box that the first row or column of the image cuts off lies at the end of its patch, all others at its
        beginning, so that the pixels lie where they would in the middle of an image. The rest is 0, as in a padded
        convolution.
        """
        top, left, bottom, right = self.boxes[unit, rank].tolist()
        height, width = self.size
        y = height - (bottom - top) if top == 0 else 0
        x = width - (right - left) if left == 0 else 0
        patch = np.zeros((len(image), height, width), image.dtype)
        patch[:, y : y + bottom - top, x : x + right - left] = image[:, top:bottom, left:right]
        return patch


def top_patches(
    model: nn.Module, batches: ImageBatches, places: Places | None = None, *, count: int = 9
) -> tuple[TopPatches, ...]:
    """Find the `count` patches that excite each unit of each place most, after Zeiler and Fergus 2014, figure 2.

    A unit takes at most one patch from each image, at its strongest position, because neighbouring positions would
    fill the list. Ties go to the first position and to the first image. A place may be a dense layer, whose units see
    the whole image. The default `places` are the declared feature maps, or the `layers` of a network without them.

    The images are read once. Memory holds sums and the images of the current patches, at most units × count. `units`
    (see `Units`) are computed in the same pass.

    Raises:
        ConfigError: `count` is less than 1.
        ImageError: there are no images, or they differ in size.
        PlaceError: a place does not exist, or its value is not a map.
    """
    if count < 1:
        raise ConfigError(f"count must be at least 1; received count={count}.")
    with closing(image_batches(model, batches)) as read:
        first = next(read)
        places = places_of(model, first[1], places)
        bests, tallies, pool = [Best(count) for _ in places], [Tally(place) for place in places], Pool()

        def look(index: list[int], images: Float[Tensor, "n c h w"]) -> None:
            model(images)
            for place, best, tally in zip(places, bests, tallies, strict=True):
                maps = as_map(captured[place], place)
                best.add(maps, pool.seen)
                tally.add(maps)
            pool.add(index, images, set(torch.cat([best.numbers.flatten() for best in bests]).tolist()))

        with (
            borrowed_with_copies(model),
            checked_batching(model, first[1]),
            torch.no_grad(),
            capture(model, places) as captured,
        ):
            for_batches(chain([first], read), look)
    fields = receptive_fields(model, first[1], places)
    kept = sorted(pool.images)
    shown = np.stack([pool.images[number] for number in kept])
    index = np.array([pool.index[number] for number in kept])
    return tuple(
        _result(best, field, tally.units(), shown, index, np.array(kept))
        for best, field, tally in zip(bests, fields, tallies, strict=True)
    )


class Best:
    """The strongest of each unit so far, (u k): their values, their images in the pass, and where in the map."""

    def __init__(self, count: int) -> None:
        self._count = count
        self.values = self.numbers = self.positions = torch.empty(0)
        self.width = 0

    def add(self, maps: Float[Tensor, "n u h w"], seen: int) -> None:
        """Add the maps of the next images, after the `seen` ones before them."""
        values, positions = maps.flatten(2).max(2)
        values, positions = values.T.float().nan_to_num(nan=-torch.inf).cpu(), positions.T.cpu()
        numbers = torch.arange(seen, seen + len(maps)).expand_as(positions)
        if not self.width:
            self.width = maps.shape[3]
            self.values = torch.full((len(values), self._count), -torch.inf)
            self.numbers = self.positions = torch.full((len(values), self._count), -1)
        merged = torch.cat([self.values, values], 1)
        # Stable, so that among equal ones the first stays the first; `topk` promises no order.
        best = merged.sort(dim=1, descending=True, stable=True).indices[:, : self._count]
        self.values = merged.gather(1, best)
        self.numbers = torch.cat([self.numbers, numbers], 1).gather(1, best)
        self.positions = torch.cat([self.positions, positions], 1).gather(1, best)


class Pool:
    """The images that are among the best of some unit so far, by their number in the pass."""

    def __init__(self) -> None:
        self.seen = 0
        self.images: dict[int, Float[np.ndarray, "c H W"]] = {}
        self.index: dict[int, int] = {}

    def add(self, index: list[int], images: Float[Tensor, "n c h w"], wanted: Set[int]) -> None:
        """Keep the wanted ones of the next images, and drop those that are no longer wanted."""
        for number in self.images.keys() - wanted:
            del self.images[number], self.index[number]
        for item, number in enumerate(range(self.seen, self.seen + len(index))):
            if number in wanted:
                self.images[number] = images[item].to("cpu", torch.float32, copy=True).numpy()
                self.index[number] = index[item]
        self.seen += len(index)


def _result(
    best: Best,
    field: PlaceFields,
    units: Units,
    images: Float[np.ndarray, "p c H W"],
    index: Int[np.ndarray, " p"],
    numbers: Int[np.ndarray, " p"],
) -> TopPatches:
    absent = best.values.isneginf().numpy()
    rows = np.where(absent, -1, np.searchsorted(numbers, best.numbers.numpy()))
    y, x = np.divmod(best.positions.numpy(), best.width)
    (top, bottom), (left, right) = (np.moveaxis(seen[y, x], -1, 0) for seen in (field.rows, field.columns))
    return TopPatches(
        field.place,
        np.where(absent, np.float32(np.nan), best.values.numpy()),
        np.where(absent, -1, index[rows]),
        np.where(absent[..., None], -1, np.stack([y, x], axis=-1)),
        np.where(absent[..., None], 0, np.stack([top, left, bottom, right], axis=-1)),
        field.size,
        units,
        images,
        rows,
    )
