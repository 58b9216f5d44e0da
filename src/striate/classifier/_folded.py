"""What a classifier runs in the place of its network, as long as nobody looks into it."""

from __future__ import annotations

from torch import nn

from striate.tracing import Folding


class Running:
    """The folded form of a network, made when it is first asked for, and always that of the network as it is now.

    Where a module carries a hook the network itself runs, so that what is looked at is what was built.
    """

    def __init__(self) -> None:
        self._folding: Folding | None = None

    @property
    def note(self) -> str:
        """Why the network could not be folded and runs as it is; empty where it could, or has not run yet."""
        return self._folding.note if self._folding else ""

    def of(self, model: nn.Module, shape: tuple[int, int, int]) -> nn.Module:
        """What to run for `model`, which is in eval mode, on images of `shape` (c, h, w)."""
        if _is_watched(model):
            return model
        folding = self._folding
        if folding is None or not folding.holds(model, shape):
            folding = self._folding = Folding(model, shape)
        else:
            folding.refresh()
        return folding.network


def _is_watched(model: nn.Module) -> bool:
    """Whether a forward hook sees what some module is given or gives."""
    everywhere = nn.modules.module._global_forward_hooks or nn.modules.module._global_forward_pre_hooks
    return bool(everywhere) or any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
