"""Describe a network layer by layer for images of any size, without computing anything."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from torch import nn

from striate.core.errors import ModelError
from striate.core.notebook import table
from striate.tracing.calls import Call, trace
from striate.tracing.fields import AxisField
from striate.tracing.operations import Window
from striate.tracing.recorder import EmptyMapError, Shape, by

_LARGEST = 4096


@dataclass(frozen=True)
class Row:
    """One call of a layer: of a module that has none inside it, or that computes something itself.

    `path` is the module's ("" is the network itself), `kind` its class, `detail` its window (kernel/stride, padding).
    Shapes are those of one image, without the batch. `macs` are multiply-accumulates. `receptive_field` is the number
    of input pixels that one value sees (y, x), padding included; where `bound` is true a value may see less, as after
    an upsampling, an adaptive pooling, a shuffling or another operation of unknown reach. `stride` is the number of
    input pixels between two neighbours (y, x); None where a value has no position. Where a value does not depend on the
    image, both are None. `parameter_bytes` and `activation_bytes` are the memory of the parameters (without buffers)
    and of the values written for one image; a view or a change in place writes none. Parameters stand in the row of the
    call that first reads them, which may be another module's.
    """

    path: str
    kind: str
    detail: str
    input_shape: Shape
    output_shape: Shape
    parameters: int
    macs: int
    receptive_field: tuple[int, int] | None
    stride: tuple[float, float] | None
    parameter_bytes: int
    activation_bytes: int
    notes: tuple[str, ...]
    bound: bool = False


@dataclass(frozen=True)
class Totals:
    """Sums over a network: `parameters` includes unused ones, `depth` is the weighted layers on the longest path."""

    parameters: int
    trainable: int
    macs: int
    depth: int
    parameter_bytes: int
    activation_bytes: int


@dataclass(frozen=True)
class Description:
    """The layers of a network for images of one shape (c, h, w). `notes` are sentences, those of the rows included."""

    input_shape: tuple[int, int, int]
    rows: tuple[Row, ...]
    totals: Totals
    notes: tuple[str, ...]

    def __repr__(self) -> str:
        size = "×".join(map(str, self.input_shape))
        cost = f"{self.totals.parameters:,} parameters, {self.totals.macs:,} MACs"
        return f"Description({len(self.rows)} rows, input {size}, {cost})"

    def _repr_html_(self) -> str:
        rows = [
            (
                row.path or "(network)",
                f"{row.kind} {row.detail}".strip(),
                "×".join(map(str, row.output_shape)),
                f"{row.parameters:,}",
                f"{row.macs:,}",
            )
            for row in self.rows
        ]
        columns = ("layer", "kind", "output", "parameters", "MACs")
        return table(columns, rows, title=repr(self), note=" ".join(self.notes))

    def row(self, path: str) -> Row:
        """Return the first row of the module at `path`."""
        return next(row for row in self.rows if row.path == path)


@dataclass(frozen=True)
class WithoutWeightSharing:
    """The parameters of a convolution (`shared`), and those of the same layer without weight sharing.

    `locally_connected`: a filter and a bias of its own at each position. `fully_connected`: every output connected to
    every input, and a bias each.
    """

    path: str
    shared: int
    locally_connected: int
    fully_connected: int


def describe(model: nn.Module, shape: tuple[int, int, int]) -> Description:
    """Describe a network for images of `shape` (channels, height, width).

    Any `nn.Module` works, with functional calls and reused modules. A copy without data runs once in eval mode on the
    meta device; `model` and its hooks neither run nor change.

    Raises:
        ModelError: the image is too small (the message names the smallest size that works), or does not fit; or the
            network needs values and not only shapes, or is lazy and has seen no data.
    """
    calls = _calls(model, shape)
    originals, parameters = dict(model.named_modules()), dict(model.named_parameters())
    rows = tuple(row for call in calls if (row := _row(call, originals[call.path], parameters)))
    read = {path for call in calls for path in call.parameters}
    unread = sum(parameter.numel() for path, parameter in parameters.items() if path not in read)
    notes = [note for row in rows for note in row.notes]
    if unread:
        notes.append(f"{unread:,} parameters are not used by this forward pass: it does not reach them.")
    return Description(shape, rows, _totals(model, rows, calls[-1]), tuple(notes))


def without_weight_sharing(model: nn.Module, shape: tuple[int, int, int]) -> tuple[WithoutWeightSharing, ...]:
    """Count the parameters of each convolution without weight sharing, for images of `shape` (c, h, w).

    Raises:
        ModelError: as `describe`.
    """
    return tuple(
        WithoutWeightSharing(call.path, saved.shared, saved.local, saved.full)
        for call in _calls(model, shape)
        for saved in call.sharings
    )


def smallest_side(works: Callable[[int], bool]) -> int | None:
    """Find the smallest side of a square image for which `works` holds, up to 4096; None if there is none.

    What works for one side works for every longer one, so the search is by bisection.
    """
    too_small, enough = 0, 1
    while not works(enough):
        if enough >= _LARGEST:
            return None
        too_small, enough = enough, 2 * enough
    while enough - too_small > 1:
        middle = (too_small + enough) // 2
        too_small, enough = (too_small, middle) if works(middle) else (middle, enough)
    return enough


def _calls(model: nn.Module, shape: tuple[int, int, int]) -> list[Call]:
    if min(shape) < 1:
        raise ModelError(f"An image has at least one channel, row and column; received {'×'.join(map(str, shape))}.")
    try:
        return trace(model, shape)
    except EmptyMapError as error:
        side = smallest_side(lambda side: _has_room(model, (shape[0], side, side)))
        offer = f" The smallest square image that works is {side}×{side}." if side else ""
        raise ModelError(f"An image of {shape[1]}×{shape[2]} is too small: {_lower(error)}{offer}") from error


def _has_room(model: nn.Module, shape: tuple[int, int, int]) -> bool:
    """Return whether no map is empty; a head that was built for another size does not matter here."""
    try:
        trace(model, shape)
    except EmptyMapError:
        return False
    except ModelError:
        return True
    return True


def _lower(error: Exception) -> str:
    sentence = str(error)
    return sentence[0].lower() + sentence[1:]


def _row(call: Call, module: nn.Module, parameters: Mapping[str, nn.Parameter]) -> Row | None:
    """Return the row of `call`; None if the module did nothing itself."""
    own = [parameters[path] for path in call.parameters]
    leaf = next(module.children(), None) is None
    if not (leaf or own or call.bytes or call.macs or call.windows):
        return None
    seen = call.seen
    return Row(
        path=call.path,
        kind=type(module).__name__,
        detail=_detail(call.windows[0]) if len(call.windows) == 1 else "",
        input_shape=call.input_shape,
        output_shape=call.output_shape,
        parameters=sum(p.numel() for p in own),
        macs=call.macs,
        receptive_field=(seen.y.size, seen.x.size) if seen else None,
        stride=_stride(seen.y, seen.x) if seen else None,
        parameter_bytes=_bytes(own),
        activation_bytes=call.bytes,
        notes=tuple(note for window in call.windows if (note := _misfit(call, window))),
        bound=seen.bound if seen else False,
    )


def _totals(model: nn.Module, rows: tuple[Row, ...], last: Call) -> Totals:
    parameters = list(model.parameters())
    return Totals(
        parameters=sum(p.numel() for p in parameters),
        trainable=sum(p.numel() for p in parameters if p.requires_grad),
        macs=sum(row.macs for row in rows),
        depth=last.seen.depth if last.seen else 0,
        parameter_bytes=_bytes(parameters),
        activation_bytes=sum(row.activation_bytes for row in rows),
    )


def _bytes(parameters: Iterable[nn.Parameter]) -> int:
    return sum(p.numel() * p.element_size() for p in parameters)


def _stride(y: AxisField, x: AxisField) -> tuple[float, float] | None:
    return None if y.stride is None or x.stride is None else (float(y.stride), float(x.stride))


def _detail(window: Window) -> str:
    padding = f", padding {by(window.padding)}" if any(window.padding) else ""
    dilation = f", dilation {by(window.dilation)}" if max(window.dilation) > 1 else ""
    return _over(window) + padding + dilation


def _misfit(call: Call, window: Window) -> str | None:
    """Return the note on a kernel that does not fit its input; None if every row and column is read."""
    rows, columns = window.dropped
    if not rows and not columns:
        return None
    lost = " and ".join(
        f"the last {noun if count == 1 else f'{count} {noun}s'}"
        for noun, count in (("row", rows), ("column", columns))
        if count
    )
    if rows == columns == 1:
        lost = "the last row and column"
    name = call.path or "The network"
    y, x = window.positions
    return f"{name}: {_over(window)} on {by(window.size)} would fit {y:g}×{x:g} times; it drops {lost}."


def _over(window: Window) -> str:
    """Write a window as 3×3, or 3×3/2 with a stride."""
    stride = window.stride
    if stride == (1, 1):
        return by(window.kernel)
    return f"{by(window.kernel)}/{stride[0] if stride[0] == stride[1] else by(stride)}"
