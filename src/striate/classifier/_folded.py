"""Run a copy of the model with folded batch norms unless a forward hook is attached."""

from __future__ import annotations

from torch import nn

from striate.tracing import Folding, is_watched

_SHAPES = 8  # of images, at most: each has a copy of the folded convolutions


class Running:
    """A copy of a model with folded batch norms, built at the first use and refreshed when weights change.

    Each shape of images has its own. If a module has a forward hook, the model itself runs, so that the hook sees the
    original modules.
    """

    def __init__(self) -> None:
        self._foldings: dict[tuple[int, int, int], Folding] = {}

    @property
    def note(self) -> str:
        """Reason why the model could not be folded; empty if it could, or has not run yet."""
        return next((folding.note for folding in self._foldings.values() if folding.note), "")

    def of(self, model: nn.Module, shape: tuple[int, int, int]) -> nn.Module:
        """Return the module to run instead of `model` (in eval mode) on images of `shape` (c, h, w)."""
        if is_watched(model):
            return model
        folding = self._foldings.get(shape)
        if folding is None or not folding.holds(model, shape):
            if len(self._foldings) >= _SHAPES:
                self._foldings.clear()
            folding = self._foldings[shape] = Folding(model, shape)
        else:
            folding.refresh()
        return folding.network
