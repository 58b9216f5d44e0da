"""What a network is made of, for pictures of any size, before any training and without computing anything."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from torch import nn

from striate.core.errors import ModelError
from striate.core.notebook import table
from striate.models._fit import smallest_side
from striate.models._operations import Window
from striate.models._receptive import Span
from striate.models._trace import Call, EmptyMapError, Shape, trace


@dataclass(frozen=True)
class Row:
    """One layer at work: a call of a module that has none inside it, or that computes something itself.

    `path` is the module's ("" is the network itself), `kind` its class, `detail` its window (kernel/stride, padding).
    Shapes are those of one picture, without the batch. `macs` are multiply-accumulates. `receptive_field` is how many
    input pixels one value sees (y, x), padding included; where `bound` is true a value may see less, as behind an
    enlargement, an adaptive pooling, a shuffling or another operation of unknown reach.
    `stride` is how many input pixels lie between two neighbours (y, x); None where a value has no position. Where a
    value does not depend on the picture, both are None. `parameter_bytes` and `activation_bytes` are the memory of
    the parameters (buffers apart) and of the values written for one picture; a view or a change in place writes none.
    Parameters stand in the row of the call that first reads them, which may be another module's.
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
    """Sums over a network: `parameters` with those not reached, `depth` the weighted layers on the longest path."""

    parameters: int
    trainable: int
    macs: int
    depth: int
    parameter_bytes: int
    activation_bytes: int


@dataclass(frozen=True)
class Description:
    """A network laid open for pictures of one shape (c, h, w). `notes` are sentences, those of the rows among them."""

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
        """The first row of the module at `path`."""
        return next(row for row in self.rows if row.path == path)


@dataclass(frozen=True)
class Unshared:
    """What a convolution needs (`shared`), and what it would need as a layer of another kind.

    `locally_connected`: a filter and a bias of its own at each position. `fully_connected`: every output connected to
    every input, and a bias each.
    """

    path: str
    shared: int
    locally_connected: int
    fully_connected: int


def describe(model: nn.Module, shape: tuple[int, int, int]) -> Description:
    """Lay a network open for pictures of `shape` (channels, height, width).

    Any `nn.Module` will do, functional calls and reused modules included. A copy without data is run once in eval mode
    on the meta device; `model` is left as it is, and its hooks do not run.

    Raises:
        ModelError: the picture is too small (the sentence names the smallest size that works), or does not fit; or the
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


def unshared(model: nn.Module, shape: tuple[int, int, int]) -> tuple[Unshared, ...]:
    """What each convolution would need without weight sharing, locally or fully connected, for pictures of `shape`.

    Raises:
        ModelError: as `describe`.
    """
    return tuple(
        Unshared(call.path, saved.shared, saved.local, saved.full)
        for call in _calls(model, shape)
        for saved in call.sharings
    )


def _calls(model: nn.Module, shape: tuple[int, int, int]) -> list[Call]:
    if min(shape) < 1:
        raise ModelError(f"A picture has at least one channel, row and column; received {'×'.join(map(str, shape))}.")
    try:
        return trace(model, shape)
    except EmptyMapError as error:
        side = smallest_side(lambda side: _has_room(model, (shape[0], side, side)))
        offer = f" The smallest square picture that works is {side}×{side}." if side else ""
        raise ModelError(f"A picture of {shape[1]}×{shape[2]} is too small: {_lower(error)}{offer}") from error


def _has_room(model: nn.Module, shape: tuple[int, int, int]) -> bool:
    """Whether no map is empty; a head that was built for another size is not the question here."""
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
    """The row of `call`, if the module did something itself."""
    own = [parameters[path] for path in call.parameters]
    leaf = next(module.children(), None) is None
    if not (leaf or own or call.bytes or call.macs or call.windows):
        return None
    sight = call.sight
    return Row(
        path=call.path,
        kind=type(module).__name__,
        detail=_detail(call.windows[0]) if len(call.windows) == 1 else "",
        input_shape=call.input_shape,
        output_shape=call.output_shape,
        parameters=sum(p.numel() for p in own),
        macs=call.macs,
        receptive_field=(sight.y.field, sight.x.field) if sight else None,
        stride=_stride(sight.y, sight.x) if sight else None,
        parameter_bytes=_bytes(own),
        activation_bytes=call.bytes,
        notes=tuple(note for window in call.windows if (note := _misfit(call, window))),
        bound=sight.bound if sight else False,
    )


def _totals(model: nn.Module, rows: tuple[Row, ...], last: Call) -> Totals:
    parameters = list(model.parameters())
    return Totals(
        parameters=sum(p.numel() for p in parameters),
        trainable=sum(p.numel() for p in parameters if p.requires_grad),
        macs=sum(row.macs for row in rows),
        depth=last.sight.depth if last.sight else 0,
        parameter_bytes=_bytes(parameters),
        activation_bytes=sum(row.activation_bytes for row in rows),
    )


def _bytes(parameters: Iterable[nn.Parameter]) -> int:
    return sum(p.numel() * p.element_size() for p in parameters)


def _stride(y: Span, x: Span) -> tuple[float, float] | None:
    return None if y.stride is None or x.stride is None else (float(y.stride), float(x.stride))


def _detail(window: Window) -> str:
    padding = f", padding {_by(window.padding)}" if any(window.padding) else ""
    dilation = f", dilation {_by(window.dilation)}" if max(window.dilation) > 1 else ""
    return _over(window) + padding + dilation


def _misfit(call: Call, window: Window) -> str | None:
    """The sentence about a kernel that does not fit its input; None if every row and column is reached."""
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
    return f"{name}: {_over(window)} on {_by(window.size)} would fit {y:g}×{x:g} times; it drops {lost}."


def _over(window: Window) -> str:
    """A window as people write it: 3×3, or 3×3/2 with a stride."""
    stride = window.stride
    if stride == (1, 1):
        return _by(window.kernel)
    return f"{_by(window.kernel)}/{stride[0] if stride[0] == stride[1] else _by(stride)}"


def _by(pair: tuple[int, int]) -> str:
    return f"{pair[0]}×{pair[1]}"
