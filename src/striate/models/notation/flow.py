"""The shape and stride of what flows from layer to layer, and the refusal of a layer that does not fit its input."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NoReturn

from striate.models.notation.mistake import LostMapError, NotationError
from striate.models.notation.tree import Placed
from striate.tracing import Window


@dataclass(frozen=True)
class Flow:
    """The shape without the batch, (channels, height, width) of a map or (units,).

    `stride` is the number of input pixels between two neighbours of a map; 1 for units.
    """

    shape: tuple[int, ...]
    stride: int = 1

    @property
    def is_map(self) -> bool:
        return len(self.shape) == 3

    def __str__(self) -> str:
        """As in a sentence: 64×32×32, or 512 numbers without a place."""
        return "×".join(map(str, self.shape)) if self.is_map else f"{self.shape[0]} numbers without a place"


@dataclass(frozen=True)
class Site:
    """A layer where it stands: what is written (`layer`, in `text`) and what it is given."""

    text: str
    layer: Placed
    given: Flow

    def refuse(self, reason: str) -> NoReturn:
        """Raise that the layer does not fit its input, with what it is given."""
        raise NotationError(f"{self.layer} is given {self.given}: {reason}.", self.text, self.layer.at)

    def map(self) -> tuple[int, int, int]:
        """Return the shape of the map that the layer needs."""
        if not self.given.is_map:
            self.refuse("it needs a map, of channels × height × width")
        channels, height, width = self.given.shape
        return channels, height, width

    def slide(
        self, channels: int, kernel: tuple[int, int], *, stride: int, padding: tuple[int, int] | None, dilation: int = 1
    ) -> Flow:
        """Return the output of a window that slides over the map; a `padding` of None is TensorFlow's rule.

        Raises:
            LostMapError: the window is larger than the padded map.
        """
        _, height, width = self.map()
        step = self.given.stride * stride
        if padding is None:
            return Flow((channels, -(-height // stride), -(-width // stride)), step)
        window = Window((height, width), kernel, (stride, stride), padding, (dilation, dilation))
        if window.empty:
            raise LostMapError(
                f"{self.layer} lays a window of {'×'.join(map(str, window.reach))} on a map of {height}×{width}: "
                f"nothing would be left of it.",
                self.text,
                self.layer.at,
            )
        rows, columns = window.positions
        return Flow((channels, int(rows), int(columns)), step)
