"""Activation checkpointing: compute activations within blocks of a network again, instead of keeping them.

Chen, Xu, Zhang and Guestrin, "Training deep nets with sublinear memory cost", 2016, arXiv:1604.06174. A forward pass
keeps only the inputs of each block; the backward pass computes the rest of one block after the other a second time,
for about a third more time in all. Both times the same numbers are drawn, and batch-norm statistics are updated the
first time only, so the gradient and all buffers are those without recomputation, bit for bit.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

_CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)


@contextlib.contextmanager
def recomputed(model: nn.Module) -> Iterator[None]:
    """Let the training passes of `model` within this context compute the activations of its blocks twice.

    Blocks are the modules with modules inside that the stages of a network consist of, such as residual and inception
    blocks. A chain of n layers without such modules, as in VGG or a network written down, is cut into about √n pieces
    (section 4.1 of the paper).
    """
    changed = [(block, vars(block).get("forward")) for block in blocks(model)]
    try:
        for block, _ in changed:
            block.forward = _in_pieces(block) if _is_chain(block) else _twice(block.forward, block)
        yield
    finally:
        for block, own in changed:
            if own is None:
                vars(block).pop("forward", None)  # the method of the class is visible again
            else:
                block.forward = own


def blocks(model: nn.Module) -> list[nn.Module]:
    """Return the blocks of `model`, in the order of its modules; none contains another."""
    children = [child for child in model.children() if _is_composite(child)]
    if not isinstance(model, _CONTAINERS) and len(children) == 1 and not isinstance(children[0], _CONTAINERS):
        return blocks(children[0])  # a wrapper of a network
    return [block for child in (children or [model]) for block in _blocks_of(child)]


def _blocks_of(module: nn.Module) -> Iterator[nn.Module]:
    if not isinstance(module, _CONTAINERS):
        yield module
        return
    inner = [child for child in module.children() if _is_composite(child)]
    if inner:
        for child in inner:
            yield from _blocks_of(child)
    elif isinstance(module, nn.Sequential):
        yield module


def _is_composite(module: nn.Module) -> bool:
    return next(module.children(), None) is not None


def _is_chain(module: nn.Module) -> bool:
    """Return whether `module` runs its children one after the other, as it says by `in_order` or is known to do."""
    return type(module) is nn.Sequential or getattr(type(module), "in_order", False)


def _in_pieces(chain: nn.Module) -> Callable[[Tensor], Tensor]:
    layers = list(chain.children())
    size = math.ceil(math.sqrt(len(layers)))
    pieces = [nn.Sequential(*layers[start : start + size]) for start in range(0, len(layers), size)]
    runs = [_twice(piece, piece) for piece in pieces]

    def run(x: Tensor) -> Tensor:
        for each in runs:
            x = each(x)
        return x

    return run


def _twice(run: Callable[..., Any], module: nn.Module) -> Callable[..., Any]:
    """Return `run`, the forward pass of `module`, with its activations computed again in the backward pass."""
    from torch.utils.checkpoint import checkpoint  # its first call loads torch's compiler

    norms = [norm for norm in module.modules() if isinstance(norm, _BatchNorm)]

    def contexts() -> tuple[contextlib.AbstractContextManager[None], contextlib.AbstractContextManager[None]]:
        return contextlib.nullcontext(), _statistics_kept(norms)

    def run_twice(*arguments: Any, **named: Any) -> Any:
        return checkpoint(run, *arguments, use_reentrant=False, context_fn=contexts, **named)

    return run_twice


@contextlib.contextmanager
def _statistics_kept(norms: Sequence[_BatchNorm]) -> Iterator[None]:
    """Keep the running statistics of `norms` as they are: with a momentum of 0, a batch has no share in them."""
    before = [(norm.momentum, norm.num_batches_tracked) for norm in norms]
    for norm in norms:
        norm.momentum, norm.num_batches_tracked = 0.0, None
    try:
        yield
    finally:
        for norm, (momentum, count) in zip(norms, before, strict=True):
            norm.momentum, norm.num_batches_tracked = momentum, count
