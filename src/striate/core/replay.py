"""Capture the kernels of a computation on a GPU once, and replay them.

The processor needs about ten microseconds to start a kernel, which is longer than most kernels of a small network run.
A captured computation (a CUDA graph) is started as a whole.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

import torch
from torch import Tensor

Outputs = TypeVar("Outputs")

_WARMUP = 2  # libraries set themselves up in the first calls, which cannot be captured


@functools.cache
def _stream(device: torch.device) -> torch.cuda.Stream:
    """Return the stream for all captures: libraries keep memory for each stream that they have worked on."""
    return torch.cuda.Stream(device)


class Replayed(Generic[Outputs]):
    """The computation of `function` for tensors of the shapes, types and layouts of `inputs`, which are on one GPU.

    `function` must compute the same operations in every call, on tensors alone: it is called a few times now, and never
    again. What it changes in place, such as `buffers`, and the random state are restored after these calls. Each replay
    changes them as a call does, and overwrites the outputs of the one before. Its intermediate values use the
    memory of those of `beside`, a computation that never runs at the same time.

    Raises:
        RuntimeError: `function` waits for the GPU, as an `item` of a tensor does, or memory is not enough.
    """

    def __init__(
        self,
        function: Callable[..., Outputs],
        inputs: Sequence[Tensor],
        buffers: Sequence[Tensor] = (),
        beside: Replayed[Outputs] | None = None,
    ) -> None:
        device = inputs[0].device
        self._inputs = [each.clone() for each in inputs]
        kept, random = [buffer.clone() for buffer in buffers], torch.cuda.get_rng_state(device)
        with torch.cuda.device(device):
            aside = _stream(device)
            aside.wait_stream(torch.cuda.current_stream())
            try:
                with torch.cuda.stream(aside):
                    for _ in range(_WARMUP):
                        function(*self._inputs)
            finally:
                torch.cuda.current_stream().wait_stream(aside)
                for buffer, value in zip(buffers, kept, strict=True):
                    buffer.copy_(value)
                torch.cuda.set_rng_state(random, device)
            self._graph = torch.cuda.CUDAGraph()
            pool = None if beside is None else beside._graph.pool()
            # torch does not return to the present stream by itself after a capture that fails.
            with torch.cuda.stream(torch.cuda.current_stream()), torch.cuda.graph(self._graph, pool, aside):
                self._outputs = function(*self._inputs)

    def __call__(self, *inputs: Tensor) -> Outputs:
        """Compute the outputs for `inputs`; the next call overwrites them."""
        torch._foreach_copy_(self._inputs, list(inputs))  # pyright: ignore[reportPrivateImportUsage]
        self._graph.replay()
        return self._outputs
