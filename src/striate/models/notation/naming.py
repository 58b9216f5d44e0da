"""Names for the layers of a written network, such as VGG's readers know them.

A stage is the run of maps of one resolution: it ends before a pooling, or a convolution with a stride. conv2_1 is the
first convolution of the second stage, relu2_1 and bn2_1 belong to it, pool2 closes the stage; block2_3 are residual
brackets. Fully connected layers go on counting: behind five stages stand fc6, relu6, drop6, fc7. Inside brackets there
are no stages: body.conv1, body.relu1, shortcut.conv1.
"""

from __future__ import annotations

from striate.models.notation.tree import Convolution, Dropout, FullyConnected, Layer, Plain, Pooling
from striate.models.notation.words import GLOBAL_POOLINGS


class Names:
    """Gives each layer its name, in order; none is given twice."""

    def __init__(self, *, staged: bool) -> None:
        self.stage = 0
        self._staged = staged
        self._open = False  # whether the stage has a convolution
        self._place = 0  # in the stage, or in the branch
        self._label = "0"
        self._given: set[str] = set()

    def layer(self, layer: Layer) -> str:
        """The name of the next layer."""
        match layer:
            case Convolution():
                return self.place("conv", strides=layer.stride > 1)
            case Pooling():
                return self._pooling(strides=layer.stride > 1)
            case FullyConnected():
                return self._unit()
            case Dropout():
                return self._unique(f"drop{self._label}")
            case Plain():
                bare = layer.word.rstrip("6")  # relu6's own number would be read as a place
                return self._unique(bare if bare in GLOBAL_POOLINGS else f"{bare}{self._label}")

    def place(self, word: str, *, strides: bool) -> str:
        """The name of the next convolution or block; one that `strides` begins a stage."""
        if self._staged and (strides or not self._open):
            self.stage += 1
            self._open, self._place = True, 0
        self._place += 1
        self._label = f"{self.stage}_{self._place}" if self._staged else f"{self._place}"
        return self._unique(f"{word}{self._label}")

    def _pooling(self, *, strides: bool) -> str:
        if self._staged and strides:
            self._open = False
            self._label = f"{self.stage}"
        return self._unique(f"pool{self._label}")

    def _unit(self) -> str:
        if self._staged:
            self.stage += 1
            self._label = f"{self.stage}"
        else:
            self._place += 1
            self._label = f"{self._place}"
        return self._unique(f"fc{self._label}")

    def _unique(self, name: str) -> str:
        candidate, number = name, 1
        while candidate in self._given:
            number += 1
            candidate = f"{name}_{number}"
        self._given.add(candidate)
        return candidate
