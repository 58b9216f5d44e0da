"""The module calls of a forward pass: their inputs, operations and outputs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from torch import nn
from torch.nn.parameter import is_lazy

from striate.core.errors import ModelError, first_line
from striate.tracing.fields import FieldTracker, ReceptiveField
from striate.tracing.operations import Sharing, Window, macs, sharing
from striate.tracing.recorder import Entered, Left, Operation, Recorder, Shape, Value, on_meta


@dataclass
class Call:
    """One call of one module: its own operations only, not those of the modules inside it.

    Shapes are without the batch. `seen` is the receptive field of the output. `bytes` are those of the values that the
    operations write; a view, or a change in place, writes none. `parameters` are the paths of those that the operations
    read, the module's own or another's; each stands at its first reading only.
    """

    path: str
    input_shape: Shape = ()
    output_shape: Shape = ()
    seen: ReceptiveField | None = None
    macs: int = 0
    bytes: int = 0
    windows: list[Window] = field(default_factory=list)
    sharings: list[Sharing] = field(default_factory=list)
    parameters: list[str] = field(default_factory=list)


def trace(model: nn.Module, shape: tuple[int, int, int]) -> list[Call]:
    """List the module calls of one forward pass on an image of `shape` (c, h, w), in the order in which they end.

    The pass is that of eval mode, on the meta device. `model` and its hooks neither run nor change.

    Raises:
        EmptyMapError: the image is so small that a map would be empty.
        ModelError: a layer does not accept its input, computes something that needs data, or is lazy and has not seen
            any.
    """
    return _Booking(*_record(model, shape)).calls


def output_shape(model: nn.Module, shape: tuple[int, int, int]) -> Shape:
    """Return the shape, without the batch, of the output of `model` for an image of `shape` (c, h, w).

    Raises:
        EmptyMapError: the image is too small.
        ModelError: as `trace`.
    """
    recorder, _ = _record(model, shape)
    last = recorder.events[-1]
    assert isinstance(last, Left)  # the call of the model itself ends last
    return _first_shape(last.call.outputs)


def _record(model: nn.Module, shape: tuple[int, int, int]) -> tuple[Recorder, nn.Module]:
    """Record the pass of `trace`, and return the copy that ran too."""
    _refuse_lazy(model)
    copied, image = on_meta(model, shape)
    recorder = Recorder(image)
    try:
        recorder.run(copied, image)
    except ModelError:
        raise
    except Exception as error:  # the network's own code runs, and may raise anything
        raise ModelError(_sentence(recorder.place, shape, error)) from error
    return recorder, copied


class _Booking:
    """Adds each operation of a record to the innermost module call that ran it; `calls` is the result."""

    def __init__(self, recorder: Recorder, network: nn.Module) -> None:
        # By storage, since a view of a parameter, and `.data`, is another tensor. Those read are removed.
        self._unread: dict[int, list[str]] = {}
        for path, parameter in network.named_parameters():
            self._unread.setdefault(parameter.untyped_storage()._cdata, []).append(path)
        self._tracker = FieldTracker(recorder.image)
        self._written = {recorder.image.storage}
        self.calls: list[Call] = []
        running: list[Call] = []
        for event in recorder.events:
            if isinstance(event, Operation):
                self._tracker.follow(event)
                if running:
                    self._book(running[-1], event)
            elif isinstance(event, Entered):
                running.append(Call(event.call.path, _first_shape(event.call.inputs)))
            else:
                call, outputs = running.pop(), event.call.outputs
                call.output_shape = _first_shape(outputs)
                call.seen = self._tracker.get(outputs[0]) if outputs else None
                self.calls.append(call)

    def _book(self, call: Call, operation: Operation) -> None:
        for value in operation.inputs:
            call.parameters += self._unread.pop(value.storage, [])
        results = operation.results
        if not results:
            return
        output = results[0]
        call.macs += macs(operation.function, operation.given, output)
        call.windows += [operation.window] if operation.window else []
        saved = sharing(operation.function, operation.given, output)
        call.sharings += [saved] if saved else []
        if output.storage not in self._written and self._tracker.get(output):
            self._written.add(output.storage)
            call.bytes += output.numel() * output.tensor.element_size()


def _first_shape(values: Iterable[Value]) -> Shape:
    """Return the shape of the first of `values`, without the batch; () without any."""
    return next((tuple(value.shape[1:]) for value in values), ())


def _refuse_lazy(model: nn.Module) -> None:
    lazy = [path for path, parameter in model.named_parameters() if is_lazy(parameter)]
    if lazy:
        raise ModelError(
            f"Layer {lazy[0].rpartition('.')[0]!r} is lazy: it has no weights before it has seen data. Run the network "
            f"once on a batch of images, then describe it."
        )


def _sentence(place: str, shape: tuple[int, int, int], error: Exception) -> str:
    said = first_line(error)
    size = "×".join(map(str, shape))
    if "meta" in said:  # no shape is wrong: the network reads a number, as by .item(), .numpy(), or an `if` on a tensor
        return (
            f"{place} needs the values of its input, as in .item(), .numpy() or an if on a tensor; here only shapes "
            f"are followed, without data ({said}). Compute such values with tensor operations, or describe the layers "
            f"one by one."
        )
    return f"{place} cannot process its input for images of {size} (channels × height × width): {said}."
