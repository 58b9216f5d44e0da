"""Write ONNX graphs: an operator is a call, arithmetic is arithmetic, and numbers become constants."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from striate.core.errors import ModelError

OPSET = 20
"""Version of the standard operators. ONNX Runtime, OpenVINO and onnxruntime-web support it."""
_IR = 10  # version of the file format that belongs to it

SPARSE = (onnx.AttributeProto.SPARSE_TENSOR, onnx.AttributeProto.SPARSE_TENSORS)
"""Types of attributes that hold sparse weights."""

BRANCHES = (onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS)
"""Types of attributes that hold graphs, as those of branches and loops do."""

TYPES = {
    np.dtype(np.float16): TensorProto.FLOAT16,
    np.dtype(np.float32): TensorProto.FLOAT,
    np.dtype(np.float64): TensorProto.DOUBLE,
    np.dtype(np.uint8): TensorProto.UINT8,
    np.dtype(np.uint16): TensorProto.UINT16,
    np.dtype(np.int64): TensorProto.INT64,
    np.dtype(np.bool_): TensorProto.BOOL,
}

Axes = Sequence[str | int]


@dataclass(frozen=True)
class Value:
    """A tensor of a graph, by its name; its arithmetic adds operators to the graph."""

    graph: Graph
    name: str

    def __add__(self, other: Operand) -> Value:
        return self.graph.add("Add", self, other)

    def __sub__(self, other: Operand) -> Value:
        return self.graph.add("Sub", self, other)

    def __mul__(self, other: Operand) -> Value:
        return self.graph.add("Mul", self, other)

    def __truediv__(self, other: Operand) -> Value:
        return self.graph.add("Div", self, other)

    def __lt__(self, other: Operand) -> Value:
        return self.graph.add("Less", self, other)

    def __ge__(self, other: Operand) -> Value:
        return self.graph.add("GreaterOrEqual", self, other)

    def __and__(self, other: Operand) -> Value:
        return self.graph.add("And", self, other)

    def floor(self) -> Value:
        return self.graph.add("Floor", self)

    def round(self) -> Value:
        """Round halves to even, as Python does."""
        return self.graph.add("Round", self)

    def at_least(self, other: Operand) -> Value:
        return self.graph.add("Max", self, other)

    def at_most(self, other: Operand) -> Value:
        return self.graph.add("Min", self, other)

    def to(self, dtype: type[np.generic]) -> Value:
        return self.graph.add("Cast", self, to=TYPES[np.dtype(dtype)])

    def reshape(self, *sides: Operand) -> Value:
        """Reshape to `sides`; 0 keeps a side, and -1 is what remains."""
        if all(isinstance(side, int) for side in sides):
            return self.graph.add("Reshape", self, np.array(sides, np.int64))
        parts = [np.array([side], np.int64) if isinstance(side, int) else side for side in sides]
        return self.graph.add("Reshape", self, self.graph.add("Concat", *parts, axis=0))

    def transpose(self, *order: int) -> Value:
        return self.graph.add("Transpose", self, perm=order)

    def at(self, index: Operand, axis: int) -> Value:
        """Return the entries `index`, an array of any shape, along `axis`."""
        return self.graph.add("Gather", self, index, axis=axis)

    def part(self, start: Operand, stop: Operand, axis: int) -> Value:
        """Return the entries from `start` to `stop`, both arrays of one number, along `axis`."""
        return self.graph.add("Slice", self, start, stop, np.array([axis], np.int64))

    def side(self, axis: int) -> Value:
        """Return the length of `axis`, an array of one number."""
        return self.graph.add("Shape", self, start=axis, end=axis + 1)


Operand: TypeAlias = "Value | np.ndarray | np.generic | float | int | None"


class Graph:
    """An ONNX graph under construction."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._tensors: dict[str, TensorProto] = {}
        self._constants: dict[tuple[Any, ...], str] = {}
        self._added: dict[tuple[Any, ...], list[Value]] = {}
        self._inputs: list[onnx.ValueInfoProto] = []
        self._outputs: list[onnx.ValueInfoProto] = []

    def input(self, name: str, dtype: np.dtype | type[np.generic], shape: Axes) -> Value:
        """Declare an input; an axis with a name has any length."""
        self._inputs.append(helper.make_tensor_value_info(name, TYPES[np.dtype(dtype)], shape))
        return Value(self, name)

    def output(self, name: str, value: Value, dtype: np.dtype | type[np.generic], shape: Axes) -> None:
        """Declare `value` an output."""
        self._outputs.append(helper.make_tensor_value_info(name, TYPES[np.dtype(dtype)], shape))
        self._nodes.append(helper.make_node("Identity", [value.name], [name], name=name))

    def weight(self, name: str, values: np.ndarray) -> Value:
        """Store the weights called `name`."""
        if name not in self._tensors:
            self._tensors[name] = numpy_helper.from_array(np.asarray(values, order="C"), name)
        return Value(self, name)

    def constant(self, value: Operand) -> Value:
        """Return `value` as a tensor: float64 for a `float`, int64 for an `int`, and arrays in their own type."""
        if isinstance(value, Value):
            return value
        array = np.asarray(value)
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._constants:
            self._constants[key] = self.weight(f"constant_{len(self._constants)}", array).name
        return Value(self, self._constants[key])

    def add(self, operator: str, *inputs: Operand, **attributes: Any) -> Value:
        """Add an operator with one output; an input of None is left out."""
        return self.several(operator, 1, *inputs, **attributes)[0]

    def several(self, operator: str, outputs: int, *inputs: Operand, **attributes: Any) -> list[Value]:
        """Add an operator with several outputs; one that is there already is not added again."""
        names = ["" if each is None else self.constant(each).name for each in inputs]
        while names and not names[-1]:
            names.pop()
        key = (operator, outputs, *names, repr(sorted(attributes.items())))
        if key in self._added:
            return self._added[key]
        number = len(self._nodes)
        results = [f"{operator}_{number}" if outputs == 1 else f"{operator}_{number}_{i}" for i in range(outputs)]
        self._nodes.append(helper.make_node(operator, names, results, name=f"node_{number}", **attributes))
        self._added[key] = [Value(self, name) for name in results]
        return self._added[key]

    def include(self, model: onnx.ModelProto, given: Value) -> list[Value]:
        """Add the operators and weights of `model`, applied to `given`, and return its outputs."""
        named = {model.graph.input[0].name: given.name, "": ""}

        def inside(name: str) -> str:
            return named.setdefault(name, f"network.{name}")

        for tensor in model.graph.initializer:
            self._tensors[inside(tensor.name)] = tensor
            tensor.name = inside(tensor.name)
        for node in model.graph.node:
            if any(attribute.type in BRANCHES for attribute in node.attribute) or node.domain:
                raise ModelError(f"The network needs {node.op_type}, which is no standard operator without branches.")
            node.input[:] = map(inside, node.input)
            node.output[:] = map(inside, node.output)
            node.name = f"network.{node.name}"
            self._nodes.append(node)
        return [Value(self, inside(output.name)) for output in model.graph.output]

    def model(self, metadata: dict[str, str]) -> onnx.ModelProto:
        """Return the graph as a model."""
        used = {name for node in self._nodes for name in node.input}
        graph = helper.make_graph(
            self._nodes,
            "striate",
            self._inputs,
            self._outputs,
            [tensor for name, tensor in self._tensors.items() if name in used],
        )
        opsets = [helper.make_opsetid("", OPSET)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=_IR, producer_name="striate")
        helper.set_model_props(model, metadata)
        return model
