"""The pixels that each position of a map sees: exact boxes, where every operation before it is known.

The extents of a map (1, 4, h, w) are, for each position, minus the first row, the last row, minus the first column and
the last column that it sees; -inf where it sees none. So the union of boxes is a maximum, and the box that a window
sees is the maximum over the window.
"""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from striate.tracing.axes import RESHAPES
from striate.tracing.operations import PRODUCTS, Window, aten
from striate.tracing.recorder import Operation, Recorder, Value

Extents = Float[Tensor, "1 4 h w"]

# Each number of the output depends on those of its place, whatever their values.
_POINTWISE = {
    *(aten.relu.default, aten.relu_.default, aten.hardtanh.default, aten.hardtanh_.default, aten.silu.default),
    *(aten.silu_.default, aten.sigmoid.default, aten.tanh.default, aten.gelu.default, aten.elu.default),
    *(aten.leaky_relu.default, aten.hardsigmoid.default, aten.hardswish.default, aten.softplus.default),
    *(aten.add.Tensor, aten.add_.Tensor, aten.sub.Tensor, aten.mul.Tensor, aten.mul_.Tensor, aten.div.Tensor),
    *(aten.neg.default, aten.abs.default, aten.exp.default, aten.sqrt.default, aten.rsqrt.default),
    *(aten.pow.Tensor_Scalar, aten.add.Scalar, aten.mul.Scalar, aten.clone.default, aten.copy_.default),
    *(aten.detach.default, aten.alias.default),
}
_NORMS = {aten.native_batch_norm.default, aten._native_batch_norm_legit_no_training.default}
_ADAPTIVE = {aten._adaptive_avg_pool2d.default, aten.adaptive_max_pool2d.default}


def extents(recorder: Recorder) -> dict[Value, Extents]:
    """Return the extents of all values that only known operations connect with the input.

    A value of two dimensions, as in a classifier's head, has those of a single position: all that its numbers see
    together. Where a tensor is written through another that shares its memory, nothing is known.
    """
    tensors: dict[int, set[int]] = defaultdict(set)
    for operation in recorder.operations:
        for value in operation.results:
            tensors[value.storage].add(id(value.tensor))
    known = {recorder.image: _of_pixels(*recorder.image.shape[-2:])}
    dependent = {recorder.image}
    for operation in recorder.operations:
        sources = [value for value in operation.inputs if value in dependent]
        if not sources:
            continue
        if operation.function._schema.is_mutable and len(tensors[operation.results[0].storage]) > 1:
            return {}
        dependent.update(operation.results)
        if all(value in known for value in sources):
            found = _through(operation, sources, [known[value] for value in sources])
            if found is not None:
                known[operation.results[0]] = found
    return known


def _of_pixels(height: int, width: int) -> Extents:
    rows = torch.arange(height, dtype=torch.float32)[:, None].expand(height, width)
    columns = torch.arange(width, dtype=torch.float32).expand(height, width)
    return torch.stack([-rows, rows, -columns, columns])[None]


def _through(operation: Operation, sources: Sequence[Value], given: Sequence[Extents]) -> Extents | None:
    """Return the extents of an operation's first output; None if they are not known."""
    function, named, source, output = operation.function, operation.given, sources[0], operation.results[0]
    is_map = source.ndim >= 4 and output.ndim >= 4  # rows and columns are the last two dimensions
    if function in _POINTWISE:
        return _united(sources, given, output)
    if function is aten.cat.default:
        return _united(sources, given, output) if named["dim"] in (1, 1 - output.ndim) else None
    if len(sources) > 1:
        return None
    (seen,) = given
    if function in PRODUCTS:
        return seen if source.ndim == 2 and named[PRODUCTS[function]] is source else None
    if operation.inputs[0] is not source:
        return None
    if operation.window is not None:
        return _slide(seen, operation.window, output.shape[-2:]) if is_map else None
    if function in _NORMS:
        return None if named.get("training") else seen
    if function is aten.constant_pad_nd.default and is_map and len(named["pad"]) <= 6:
        return F.pad(seen, named["pad"][:4], value=-torch.inf)
    if function is aten.slice.Tensor and is_map and named["dim"] % source.ndim >= source.ndim - 2:
        axis = named["dim"] % source.ndim - source.ndim
        return aten.slice(seen, axis, named["start"], named["end"], named["step"])
    if function in _ADAPTIVE and is_map:
        return F.adaptive_max_pool2d(seen, named["output_size"])
    if function is aten.mean.dim and source.ndim == 4:
        return _whole(seen) if sorted(axis % 4 for axis in named["dim"] or ()) == [2, 3] else None
    if function in RESHAPES and is_map and output.shape[-2:] == source.shape[-2:]:
        return seen
    if function in RESHAPES and output.ndim == 2 and output.shape[0] == source.shape[0]:
        return _whole(seen)
    return None


def _united(sources: Sequence[Value], given: Sequence[Extents], output: Value) -> Extents | None:
    """Return the union of maps that are broadcast to the output, or of rows."""
    if output.ndim in (0, 1, 3) or any(value.ndim != output.ndim for value in sources):
        return None
    united = functools.reduce(torch.maximum, given)
    return united.expand(1, 4, *output.shape[-2:]) if output.ndim >= 4 else united


def _slide(seen: Extents, window: Window, size: Sequence[int]) -> Extents:
    """Return the maximum over a window at each of `size` positions; padding sees nothing."""
    before = window.padding
    after = [
        (count - 1) * stride + reach - side - padding
        for count, stride, reach, side, padding in zip(
            size, window.stride, window.reach, window.size, before, strict=True
        )
    ]
    padded = F.pad(seen, (before[1], after[1], before[0], after[0]), value=-torch.inf)
    return F.max_pool2d(padded, window.kernel, window.stride, 0, window.dilation)


def _whole(seen: Extents) -> Extents:
    return seen.amax((2, 3), keepdim=True)
