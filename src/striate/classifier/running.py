"""What a classifier runs in the place of its network, as long as nobody looks into it."""

from __future__ import annotations

from torch import Tensor, nn

from striate.models.folding import fold

Stamp = tuple[object, ...]


class Running:
    """The folded form of a network, made when it is first asked for and made again when the network has changed.

    Where a module carries a hook the network itself runs, so that what is looked at is what was built.
    """

    def __init__(self) -> None:
        self._held: tuple[Stamp, nn.Module] | None = None

    def of(self, model: nn.Module, shape: tuple[int, int, int]) -> nn.Module:
        """What to run for `model`, which is in eval mode, on pictures of `shape` (c, h, w)."""
        tensors = [*model.parameters(), *model.buffers()]
        if any(tensor.is_inference() for tensor in tensors) or _is_watched(model):
            return model
        stamp = (shape, *(id(module) for module in model.modules()), *(_version(tensor) for tensor in tensors))
        held = self._held
        if held is None or held[0] != stamp:
            held = self._held = stamp, fold(model, shape)
        return held[1]


def _version(tensor: Tensor) -> tuple[int, int, int]:
    """Changes whenever a tensor is replaced, moved, or written to by an operation."""
    return id(tensor), tensor.data_ptr(), tensor._version


def _is_watched(model: nn.Module) -> bool:
    """Whether a forward hook sees what some module is given or gives."""
    everywhere = nn.modules.module._global_forward_hooks or nn.modules.module._global_forward_pre_hooks
    return bool(everywhere) or any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
