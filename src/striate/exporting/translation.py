"""Translate networks to standard ONNX operators, from the program that `torch.export` records.

The operators of the zoo and of most convolutional networks are translated one by one
(`striate.exporting.operators.OPERATORS`, which takes further ones). A network with any other operator is translated as
a whole by `torch.onnx`, which supports more operators and takes several times as long.
"""

from __future__ import annotations

import operator
import warnings
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, fx, nn

from striate.core.errors import ModelError, first_line
from striate.exporting.graph import OPSET, Graph, Value
from striate.exporting.operators import OPERATORS, UntranslatedError, cast, dtype_of, numpy_type


def record(network: nn.Module, example: Float[Tensor, "n c h w"]) -> torch.export.ExportedProgram:
    """Record the operators of `network`, in eval mode, for any number of images of the size of `example`.

    Raises:
        ModelError: the network depends on its input in another way than by its values, so it has no fixed program.
    """
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of torch to its own authors
            dynamic = ({0: torch.export.Dim("n")},)
            program = torch.export.export(network.eval(), (example,), dynamic_shapes=dynamic, strict=False)
    except Exception as error:  # its types are not documented
        raise ModelError(
            "The network cannot be exported: its program depends on the image, or on how many there are, in a way "
            f"that cannot be recorded ({first_line(error)})."
        ) from error
    for part in program.graph_module.modules():
        for node in part.graph.nodes if isinstance(part, fx.GraphModule) else ():
            node.meta.pop("stack_trace", None)  # it names files of this machine, and the program may be published
    return program


def add_network(graph: Graph, program: torch.export.ExportedProgram, images: Value) -> list[Value]:
    """Add the operators of `program` for `images`, and return its outputs.

    Raises:
        ModelError: an operator cannot be translated.
    """
    try:
        missing = sorted({name for node in program.graph.nodes if (name := _name(node)) and name not in OPERATORS})
        if missing:
            raise UntranslatedError(", ".join(missing))
        return _Translator(graph, program).run(images)
    except UntranslatedError as reason:
        return graph.include(_by_torch(program, str(reason)), images)


def _by_torch(program: torch.export.ExportedProgram, reason: str) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = torch.onnx.export(program, (), dynamo=True, opset_version=OPSET, verbose=False)
    except ImportError as error:
        raise ModelError(
            f"The network has operators that need onnxscript ({reason}): pip install 'striate[export]'."
        ) from error
    except Exception as error:  # its types are not documented
        raise ModelError(f"The network cannot be translated to ONNX ({reason}): {first_line(error)}.") from error
    assert found is not None
    return found.model_proto


_SILENT = {"aten._assert_tensor_metadata", "aten.sym_size", "aten.sym_constrain_range_for_size"}
_VIEWS = {
    f"aten.{name}"
    for name in (
        *("view", "reshape", "flatten", "permute", "transpose", "slice", "squeeze", "unsqueeze", "expand", "select"),
        *("split", "split_with_sizes", "chunk", "contiguous", "to", "dropout", "detach", "alias"),
    )
}
_PROMOTING = {
    f"aten.{name}"
    for name in (
        *("add", "sub", "rsub", "mul", "div", "pow", "maximum", "minimum", "clamp", "cat", "sum", "mean"),
        *("softmax", "log_softmax", "sigmoid", "tanh", "sqrt", "rsqrt", "exp", "log", "erf", "reciprocal"),
    )
}
"""Operators that compute in the type of their result, whatever the types of their tensors."""


def _name(node: fx.Node) -> str:
    """Return the name of an operator on tensors, or of one on a part of the program; empty for other nodes."""
    if node.op != "call_function" or not isinstance(node.target, torch._ops.OperatorBase):
        return ""
    name = ".".join(str(node.target).split(".")[:2])
    return "" if name in _SILENT else name.removesuffix("_")


class _Translator:
    def __init__(self, graph: Graph, program: torch.export.ExportedProgram) -> None:
        self._graph, self._program = graph, program
        signature = program.graph_signature
        self._held = {
            **signature.inputs_to_parameters,
            **signature.inputs_to_buffers,
            **signature.inputs_to_lifted_tensor_constants,
        }
        self._values: dict[fx.Node, Any] = {}

    def run(self, images: Value) -> list[Value]:
        for node in self._program.graph.nodes:
            if node.op == "placeholder" and node.users:
                held = self._held.get(node.name)
                self._values[node] = images if held is None else self._weight(held)
            elif node.op == "output":
                return [self._values[output] for output in node.args[0]]
            elif node.target is operator.getitem and node.users:
                self._values[node] = self._part(*node.args)
            elif name := _name(node):
                self._translate(node, name)
        raise AssertionError("a program has an output")

    def _weight(self, name: str) -> Value:
        held = self._program.state_dict.get(name)
        tensor = self._program.constants[name] if held is None else held
        assert isinstance(tensor, Tensor)
        return self._graph.weight(name, np.asarray(tensor.detach().cpu(), numpy_type(tensor.dtype)))

    def _part(self, node: fx.Node, number: int) -> Value:
        values = self._values[node]
        if number >= len(values):
            raise UntranslatedError(f"result {number + 1} of {node.target}")
        return values[number]

    def _translate(self, node: fx.Node, name: str) -> None:
        if not isinstance(node.meta.get("val"), (Tensor, list, tuple)):
            return

        def given(argument: fx.Node) -> Any:
            value = self._values.get(argument, argument)
            return cast(argument, value, dtype_of(node)) if name in _PROMOTING else value

        arguments = fx.map_arg((node.args, node.kwargs), given)
        found = OPERATORS[name](self._graph, node, *arguments[0], **arguments[1])
        if str(node.target).split(".")[1].endswith("_"):
            self._write(node, found)
        self._values[node] = found

    def _write(self, node: fx.Node, value: Value) -> None:
        """Replace the argument of an operator that works in place by its result, for the nodes that follow.

        Other tensors that share its memory must not be read afterwards: here they would still have the former values.
        """
        written = node.args[0]
        assert isinstance(written, fx.Node)
        for alias in _sharing(written):
            if alias is not written and any(node < user for user in alias.users):
                raise UntranslatedError(f"{node.target} on a view")
        self._values[written] = value


def _sharing(node: fx.Node) -> list[fx.Node]:
    """Return the nodes whose tensors may share the memory of that of `node`."""
    while _name(node) in _VIEWS or node.target is operator.getitem:
        node = node.all_input_nodes[0]
    found = [node]
    for each in found:
        found += [user for user in each.users if _name(user) in _VIEWS or user.target is operator.getitem]
    return found
