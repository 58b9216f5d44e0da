"""Names for the layers of a written network, such as the papers' readers give them.

A stage is the run of maps of one resolution: it ends before a pooling, or a convolution with a stride. conv2_1 is the
first convolution of the second stage, relu2_1 and bn2_1 belong to it, pool2 closes the stage; block2_3 are residual
brackets. fc1, fc2 … are the fully connected layers, and relu_fc1, drop_fc1 belong to the first. Inside brackets there
are no stages: body.conv1, body.relu1, shortcut.conv1.
"""

from __future__ import annotations

from striate.models.notation.tree import Convolution, Dropout, FullyConnected, Layer, Plain, Pooling


class Names:
    """Gives each layer its name, in order; none is given twice."""

    def __init__(self, *, staged: bool) -> None:
        self.stage = 0
        self._staged = staged
        self._open = False  # whether the stage has a convolution
        self._place = 0
        self._units = 0
        self._label = self._numbered()
        self._given: set[str] = set()

    def layer(self, layer: Layer) -> str:
        """The name of the next layer."""
        match layer:
            case Convolution():
                return self.place("conv", layer.stride > 1)
            case Pooling():
                if not self._staged or layer.stride == 1:
                    return self._unique(f"pool{self._label}")
                self._open = False
                return self._unique(f"pool{self.stage}")
            case FullyConnected():
                self._units += 1
                self._label = f"_fc{self._units}"
                return f"fc{self._units}"
            case Dropout():
                return self._unique(f"drop{self._label}")
            case Plain():
                return self._unique(layer.word if layer.word in ("gap", "gmp") else f"{layer.word}{self._label}")

    def place(self, word: str, strides: bool) -> str:
        """The name of the next convolution or block; one that `strides` begins a stage."""
        if self._staged and (strides or not self._open):
            self.stage += 1
            self._open, self._place = True, 0
        self._place += 1
        self._label = self._numbered()
        return self._unique(f"{word}{self._label}")

    def _numbered(self) -> str:
        return f"{self.stage}_{self._place}" if self._staged else f"{self._place}"

    def _unique(self, name: str) -> str:
        candidate, number = name, 1
        while candidate in self._given:
            number += 1
            candidate = f"{name}_{number}"
        self._given.add(candidate)
        return candidate
