"""Layout of a place's value on the image: a map with channels first or last, or a sequence of tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from jaxtyping import Float
from torch import Tensor

from striate.hooks import PlaceError

Kind = Literal["channels first", "channels last", "tokens", "tokens first"]

Grid = tuple[int, int]
"""Rows and columns."""

_MOST_STRETCHED = 1.5
_MOST_EXTRA_TOKENS = 8
"""Class, distillation and register tokens stand before the tokens of the image."""


@dataclass(frozen=True)
class Layout:
    """How to lay a value out as maps (n, k, h, w).

    "channels first": the value is (n, k, h, w) already. "channels last": (n, h, w, k). "tokens": (n, t, k), and "tokens
    first": (t, n, k); their last h · w tokens are the rows of the grid one after another, and the `extra` ones before
    them, such as a class token, are left out.
    """

    kind: Kind
    grid: Grid
    extra: int = 0

    def lay(self, value: Tensor) -> Float[Tensor, "n k h w"]:
        """Return the maps in `value`, as a view of it."""
        if self.kind == "channels first":
            return value
        if self.kind == "channels last":
            return value.permute(0, 3, 1, 2)
        tokens = value.transpose(0, 1) if self.kind == "tokens first" else value
        return tokens[:, self.extra :].transpose(1, 2).unflatten(2, self.grid)

    def note(self, place: str) -> tuple[str, ...]:
        """Return notes on the layout for a reader of the map; none for plain maps."""
        rows, columns = self.grid
        if self.kind == "channels first":
            return ()
        if self.kind == "channels last":
            return (f"Place {place!r} gives its channels last: read as maps of {rows} × {columns}.",)
        left_out = f"; the {self.extra} before them left out" if self.extra else ""
        return (f"Place {place!r} gives tokens: {rows * columns} laid out as {rows} × {columns}{left_out}.",)


def layout_of(shape: Sequence[int], images: int, size: Grid, grid: Grid | None = None) -> Layout | None:
    """Return the layout of a value of `shape` for `images` images of `size` (height, width), or None if it has none.

    `grid` states the rows and columns; otherwise they must have the proportions of the image.
    """
    if len(shape) == 4 and shape[0] == images:
        maps: tuple[tuple[Kind, Grid], ...] = (
            ("channels first", (shape[2], shape[3])),
            ("channels last", (shape[1], shape[2])),
        )
        for kind, sides in maps:
            if sides == grid or (grid is None and _alike(sides, size)):
                return Layout(kind, sides)
    if len(shape) == 3:
        sequences: tuple[tuple[Kind, int, int], ...] = (
            ("tokens", shape[1], shape[0]),
            ("tokens first", shape[0], shape[1]),
        )
        for kind, count, rows in sequences:
            found = _grid_of(count, size) if grid is None else grid
            if rows == images and found is not None and 0 <= count - found[0] * found[1] <= _MOST_EXTRA_TOKENS:
                return Layout(kind, found, count - found[0] * found[1])
    return None


def stated_layout(place: str, shape: Sequence[int], images: int, size: Grid, grid: Grid | None) -> Layout:
    """Return the layout of a place that was named, where maps with channels first may have any proportions.

    Raises:
        PlaceError: the value is not laid out over the image, or not over `grid`.
    """
    found = layout_of(shape, images, size, grid)
    if found is None and grid is None and len(shape) == 4 and shape[0] == images:
        found = Layout("channels first", (shape[2], shape[3]))
    if found is None:
        wanted = "a map (n, channels, height, width)" if grid is None else f"maps or tokens of {grid[0]} × {grid[1]}"
        raise PlaceError(
            f"Place {place!r} gives {tuple(shape)} for {images} images of {size[0]} × {size[1]}, and {wanted} is "
            f"needed: name a place before the image is flattened or, where the place gives tokens (n, tokens, "
            f"channels), state their grid as tokens=(rows, columns)."
        )
    return found


def _alike(sides: Grid, size: Grid) -> bool:
    """Whether a map has the proportions of the image and more than one position."""
    (height, width), (tall, wide) = sides, size
    if (height * width == 1 and tall * wide > 1) or height > tall or width > wide:
        return False
    stretched = (height * wide) / (width * tall)
    return 1 / _MOST_STRETCHED <= stretched <= _MOST_STRETCHED


def _grid_of(count: int, size: Grid) -> Grid | None:
    """Return the rows and columns of `count` tokens on an image of `size`, with as few extra tokens as possible."""
    height, width = size
    for tokens in range(count, max(3, count - _MOST_EXTRA_TOKENS - 1), -1):
        for rows in range(1, min(height, tokens) + 1):
            columns = tokens // rows
            exact = rows * width / height
            if rows * columns == tokens and columns <= width and abs(columns - exact) < 1:
                return rows, columns
    return None
