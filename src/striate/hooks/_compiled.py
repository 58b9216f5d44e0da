"""Compiled and scripted regions of a network, and the start and end of its forward passes.

Compiled regions can run as the Python they were compiled from; scripted ones cannot.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

_COMPILED = "._orig_mod"


@contextmanager
def eagerly() -> Iterator[None]:
    """Within the block, run compiled regions and torch's attention layers as Python: fused code ignores hooks."""
    fused = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        if "torch._dynamo" not in sys.modules:  # nothing was compiled; the call below would load the compiler
            yield
            return
        with torch.compiler.set_stance("force_eager"):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fused)


def eager(model: nn.Module) -> nn.Module:
    """Return the network that `torch.compile` wrapped, or `model` itself."""
    return getattr(model, "_orig_mod", model)


def modules_by_path(model: nn.Module) -> dict[str, nn.Module]:
    """Map each path to its module, as if no part were compiled; the whole network is not included."""
    found = {path.replace(_COMPILED, ""): module for path, module in model.named_modules(remove_duplicate=False)}
    return {path: module for path, module in found.items() if path}


def scripted(model: nn.Module) -> list[str]:
    """Return the paths of the scripted or traced regions, the outermost module of each."""
    paths: list[str] = []
    for path, module in model.named_modules():
        if isinstance(module, torch.jit.ScriptModule) and not any(_within(path, outer) for outer in paths):
            paths.append(path)
    return paths


def _within(path: str, outer: str) -> bool:
    return outer == "" or path.startswith(f"{outer}.")


@contextmanager
def watching(
    model: nn.Module, begin: Callable[[], None] = lambda: None, end: Callable[[], None] = lambda: None
) -> Iterator[None]:
    """Within the block, call `begin` and `end` where a forward pass of `model` begins and where it ends or fails.

    A part that checkpointing computes again in a backward pass lies outside.
    """

    def before(module: nn.Module, given: Any) -> None:
        begin()

    def after(module: nn.Module, given: Any, output: Any) -> None:
        end()

    first = model.register_forward_pre_hook(before, prepend=True)
    last = model.register_forward_hook(after, always_call=True)
    try:
        yield
    finally:
        first.remove()
        last.remove()
