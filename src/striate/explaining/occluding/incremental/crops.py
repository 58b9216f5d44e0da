"""Changed values of a map within the box of each position; outside of the boxes the clean map applies."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from striate.explaining.occluding.incremental.boxes import Boxes

# The numbers of m positions and their values (m c h w); m, h and w differ between groups.
Group = tuple[Int[np.ndarray, " _"], Float[Tensor, "_ _ _ _"]]
Rows = Float[Tensor, "pixels c"]


@dataclass(frozen=True, eq=False)
class Map:
    """A clean map as one row of channels for each pixel: (h·w, c)."""

    rows: Rows
    height: int
    width: int

    @classmethod
    def of(cls, value: Float[Tensor, "1 c h w"]) -> Map:
        return cls(value[0].permute(1, 2, 0).flatten(0, 1).contiguous(), *value.shape[2:])


@dataclass(frozen=True, eq=False)
class Crops:
    """The changed values at every position: `groups` hold the values in `boxes`, boxes of one size in one batch."""

    boxes: Boxes
    groups: tuple[Group, ...]

    @functools.cached_property
    def found_at(self) -> tuple[Int[np.ndarray, " p"], Int[np.ndarray, " p"]]:
        """Group of each position, and its index in the batch of that group."""
        group, place = np.empty((2, len(self.boxes)), dtype=np.int64)
        for number, (numbers, _) in enumerate(self.groups):
            group[numbers], place[numbers] = number, np.arange(len(numbers))
        return group, place

    def changed(self, change: Callable[[Tensor], Tensor]) -> Crops:
        """Return the same boxes with other values."""
        return Crops(self.boxes, tuple((numbers, change(values)) for numbers, values in self.groups))


def gathered(
    clean: Map, crops: Crops | None, wanted: Boxes, fill: float = 0.0, step: tuple[int, int] = (1, 1)
) -> Crops:
    """Return the values in the boxes `wanted`: changed if available, else clean, and `fill` beyond the border.

    With a `step`, only every `step`-th row and column of a box is read.
    """
    groups = []
    for numbers in wanted.by_size():
        boxes = wanted.at(numbers)
        rows, columns = _grid(boxes.tops, boxes.bottoms, step[0]), _grid(boxes.lefts, boxes.rights, step[1])
        shape = (*rows.shape, columns.shape[1])
        values = _clean(clean, rows, columns, fill)
        if crops is not None:
            _lay(values, shape, numbers, boxes, crops, step)
        groups.append((numbers, values.view(*shape, -1).permute(0, 3, 1, 2)))
    return Crops(wanted, tuple(groups))


def whole(clean: Map, crops: Crops) -> Float[Tensor, "p c h w"]:
    """Return the whole map of every position."""
    count = len(crops.boxes)
    everything = Boxes(*(np.full(count, edge) for edge in (0, clean.height, 0, clean.width)))
    ((_, values),) = gathered(clean, crops, everything).groups
    return values


def _grid(starts: np.ndarray, stops: np.ndarray, step: int) -> Int[np.ndarray, "m side"]:
    return starts[:, None] + np.arange(0, int(stops[0] - starts[0]), step)


def _index(rows: np.ndarray, columns: np.ndarray, width: int) -> np.ndarray:
    """Return the row-major indices of pixels in a map of this width: (m, h, w)."""
    return rows[:, :, None] * width + columns[:, None, :]


def _clean(clean: Map, rows: np.ndarray, columns: np.ndarray, fill: float) -> Rows:
    inside_rows, inside_columns = np.clip(rows, 0, clean.height - 1), np.clip(columns, 0, clean.width - 1)
    index = torch.from_numpy(_index(inside_rows, inside_columns, clean.width).reshape(-1))
    values = clean.rows.index_select(0, index.to(clean.rows.device))
    outside = (rows != inside_rows)[:, :, None] | (columns != inside_columns)[:, None, :]
    if outside.any():
        values.index_fill_(0, torch.from_numpy(np.flatnonzero(outside)).to(values.device), fill)
    return values


def _lay(
    onto: Rows,
    shape: tuple[int, int, int],
    numbers: Int[np.ndarray, " m"],
    boxes: Boxes,
    crops: Crops,
    step: tuple[int, int],
) -> None:
    """Write the changed values of these positions over the clean ones."""
    group, place = (found[numbers] for found in crops.found_at)
    for one in np.unique(group):
        mine = np.flatnonzero(group == one)
        others, values = crops.boxes.at(numbers[mine]), crops.groups[one][1]
        rows, fitting_rows = _places(others.tops, others.bottoms, boxes.tops[mine], shape[1], step[0])
        columns, fitting_columns = _places(others.lefts, others.rights, boxes.lefts[mine], shape[2], step[1])
        index = _index(rows, columns, shape[2]) + (mine * shape[1] * shape[2])[:, None, None]
        if len(mine) < len(values):
            values = values[torch.from_numpy(place[mine]).to(values.device)]
        changed = values.permute(0, 2, 3, 1).reshape(-1, values.shape[1])
        fitting = fitting_rows[:, :, None] & fitting_columns[:, None, :]
        if not fitting.all():
            changed = changed[torch.from_numpy(fitting.reshape(-1)).to(values.device)]
            index = index[fitting]
        onto.index_copy_(0, torch.from_numpy(index.reshape(-1)).to(onto.device), changed)


def _places(
    starts: np.ndarray, stops: np.ndarray, origins: np.ndarray, side: int, step: int
) -> tuple[np.ndarray, np.ndarray]:
    """Map lines of a box to indices in another box that begins at `origins`; return also which lines it contains."""
    offsets = _grid(starts, stops, 1) - origins[:, None]
    places = offsets // step
    return places, (offsets % step == 0) & (places >= 0) & (places < side)
